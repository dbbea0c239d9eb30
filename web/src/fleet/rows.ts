import { el } from '../shared/dom'
import { place, speed, type Fleet, type Vehicle } from './fleet'

/** The table of vehicles: changed rows are drawn once a frame, however many messages come. */
export class Rows {
  private readonly rows = new Map<number, HTMLTableRowElement>()
  private readonly changed = new Set<number>()

  constructor(
    private readonly body: HTMLElement,
    private readonly fleet: Fleet,
    private readonly nextFrame: (draw: () => void) => void = (draw) => void requestAnimationFrame(draw),
  ) {}

  /** A vehicle is not as it was. */
  touch(id: number): void {
    if (this.changed.size === 0) this.nextFrame(() => this.draw())
    this.changed.add(id)
  }

  private draw(): void {
    for (const id of this.changed) {
      const vehicle = this.fleet.vehicles.get(id)
      if (vehicle) this.row(id).replaceChildren(...cells(vehicle))
      else {
        this.rows.get(id)?.remove()
        this.rows.delete(id)
      }
    }
    this.changed.clear()
  }

  private row(id: number): HTMLTableRowElement {
    let row = this.rows.get(id)
    if (!row) {
      row = el('tr', { 'data-device': String(id) })
      this.rows.set(id, row)
      const after = [...this.rows.keys()].filter((other) => other > id).sort((a, b) => a - b)[0]
      this.body.insertBefore(row, after === undefined ? null : this.rows.get(after) ?? null)
    }
    return row
  }
}

function cells(vehicle: Vehicle): HTMLElement[] {
  const state = vehicle.connected ? 'connected' : 'away'
  return [
    el('th', { scope: 'row' }, vehicle.name),
    el('td', { class: state }, state),
    el('td', {}, place(vehicle)),
    el('td', {}, speed(vehicle)),
    el('td', {}, vehicle.reported ? new Date(vehicle.reported * 1000).toLocaleTimeString() : ''),
    el('td', {}, String(vehicle.telemetry.size)),
  ]
}
