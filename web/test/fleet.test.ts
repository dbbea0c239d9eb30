// @vitest-environment happy-dom
import { describe, expect, it } from 'vitest'

import { Fleet, place, speed } from '../src/fleet/fleet'
import { Rows } from '../src/fleet/rows'

const BASE = 'flespi/state/gw/devices/7'

describe('Fleet', () => {
  it('keeps the newest value of every parameter', () => {
    const fleet = new Fleet()
    expect(fleet.take(`${BASE}/name`, '"Truck 7"')).toBe(7)
    fleet.take(`${BASE}/connected`, 'true')
    fleet.take(`${BASE}/telemetry/position.speed`, '53.6', 1760000001.5)
    fleet.take(`${BASE}/telemetry/position`, '{"latitude":31.23041,"longitude":121.4737}', 1760000000)
    const truck = fleet.vehicles.get(7)!
    expect([truck.name, truck.connected, truck.reported]).toEqual(['Truck 7', true, 1760000001.5])
    expect([place(truck), speed(truck)]).toEqual(['31.23041, 121.47370', '54 km/h'])
  })

  it('forgets what was cleared, and vehicles that were deleted', () => {
    const fleet = new Fleet()
    fleet.take(`${BASE}/telemetry/position.speed`, '5')
    fleet.take(`${BASE}/telemetry/position.speed`, '')
    expect(fleet.vehicles.get(7)!.telemetry.size).toBe(0)
    fleet.take(`${BASE}/deleted`, 'false')
    expect(fleet.vehicles.has(7)).toBe(true)
    fleet.take(`${BASE}/deleted`, 'true')
    expect(fleet.vehicles.has(7)).toBe(false)
  })

  it('passes over topics of others', () => {
    expect(new Fleet().take('flespi/log/gw/devices/7/created', '{}')).toBeUndefined()
  })
})

describe('Rows', () => {
  it('draws each changed vehicle once, by rising id, and text as text', () => {
    const fleet = new Fleet()
    const body = document.createElement('tbody')
    const frames: (() => void)[] = []
    const rows = new Rows(body, fleet, (draw) => frames.push(draw))
    for (const id of [9, 2]) {
      fleet.take(`flespi/state/gw/devices/${id}/name`, `"<b>${id}</b>"`)
      rows.touch(id)
    }
    expect(frames.length).toBe(1)
    frames[0]!()
    expect([...body.children].map((row) => row.firstElementChild!.textContent)).toEqual(['<b>2</b>', '<b>9</b>'])
    fleet.take('flespi/state/gw/devices/2/deleted', 'true')
    rows.touch(2)
    frames[1]!()
    expect(body.children.length).toBe(1)
  })
})
