/** A vehicle as the topics below `flespi/state/gw/devices/{id}` tell it (mqtt-api.md 6.1). */
export interface Vehicle {
  id: number
  name: string
  connected: boolean
  /** Current values by parameter name. */
  telemetry: Map<string, unknown>
  /** Unix seconds of the newest value. */
  reported: number
}

/** What the fleet page subscribes to: one subscription for the items, one for what changes all the time. */
export const SUBSCRIPTIONS = [
  'flespi/state/gw/devices/+/name,connected,deleted',
  'flespi/state/gw/devices/+/telemetry/+',
]

const TOPIC = /^flespi\/state\/gw\/devices\/(\d+)\/(?:telemetry\/(.+)|(name|connected|deleted))$/

/** The vehicles an account may see, kept up to date by the messages of its subscriptions. */
export class Fleet {
  readonly vehicles = new Map<number, Vehicle>()

  /**
   * Take one message.
   *
   * @param timestamp Unix seconds, from the user property `timestamp`; undefined where there is none.
   * @returns the id of the vehicle it is about, undefined where it is about none.
   */
  take(topic: string, payload: string, timestamp?: number): number | undefined {
    const found = TOPIC.exec(topic)
    if (!found) return undefined
    const id = Number(found[1])
    const gone = found[3] === 'deleted' || (found[3] === 'name' && payload === '')
    if (gone) {
      if (payload !== 'false') this.vehicles.delete(id)
      return id
    }
    const vehicle = this.vehicle(id)
    const parameter = found[2]
    if (parameter === undefined) {
      const value = payload === '' ? undefined : JSON.parse(payload) as unknown
      if (found[3] === 'name') vehicle.name = String(value ?? '')
      else vehicle.connected = value === true
    } else if (payload === '') {
      vehicle.telemetry.delete(parameter)
    } else {
      vehicle.telemetry.set(parameter, JSON.parse(payload) as unknown)
      vehicle.reported = Math.max(vehicle.reported, timestamp ?? 0)
    }
    return id
  }

  private vehicle(id: number): Vehicle {
    let vehicle = this.vehicles.get(id)
    if (!vehicle) {
      vehicle = { id, name: `device ${id}`, connected: false, telemetry: new Map(), reported: 0 }
      this.vehicles.set(id, vehicle)
    }
    return vehicle
  }
}

/** `31.2304, 121.4737`, or empty where there is no position. */
export function place(vehicle: Vehicle): string {
  const position = vehicle.telemetry.get('position') as { latitude?: number; longitude?: number } | undefined
  if (typeof position?.latitude !== 'number' || typeof position.longitude !== 'number') return ''
  return `${position.latitude.toFixed(5)}, ${position.longitude.toFixed(5)}`
}

/** `54 km/h`, or empty. */
export function speed(vehicle: Vehicle): string {
  const value = vehicle.telemetry.get('position.speed')
  return typeof value === 'number' ? `${Math.round(value)} km/h` : ''
}
