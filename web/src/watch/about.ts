/** What the server says of a link (rest-api.md 8.1), as far as the page needs it. */
export interface About {
  name: string
  mime: string
  size: number
  created: number
  meta: { type?: string; channel?: number; duration?: number; mediastream?: string }
  preview?: { jpeg?: string }
}

export type Kind = 'video' | 'image' | 'live' | 'audio' | 'other'

/** How a link is shown. The bytes' type decides; `meta.type` tells live streams apart. */
export function kindOf(about: About): Kind {
  if (about.meta.type === 'mediastream') return 'live'
  for (const kind of ['video', 'image', 'audio'] as const) if (about.mime.startsWith(`${kind}/`)) return kind
  return 'other'
}

/** One line of facts: camera, time, length, size. */
export function facts(about: About, locale?: string, timeZone?: string): string {
  const kind = kindOf(about)
  const parts = [
    about.meta.channel ? `Camera ${about.meta.channel}` : '',
    about.created ? `${kind === 'live' ? 'Since ' : ''}${when(about.created, locale, timeZone)}` : '',
    about.meta.duration ? length(about.meta.duration) : '',
    kind === 'live' || !about.size ? '' : bytes(about.size),
  ]
  return parts.filter(Boolean).join(' · ')
}

/** A time for people, in their own time zone, which is named. */
export function when(seconds: number, locale?: string, timeZone?: string): string {
  return new Intl.DateTimeFormat(locale, {
    dateStyle: 'medium',
    timeStyle: 'long',
    ...(timeZone ? { timeZone } : {}),
  }).format(seconds * 1000)
}

/** `0:09`, `12:34`, `1:02:03`. */
export function length(seconds: number): string {
  const whole = Math.round(seconds)
  const rest = `${Math.floor((whole % 3600) / 60)}:${String(whole % 60).padStart(2, '0')}`
  return whole < 3600 ? rest : `${Math.floor(whole / 3600)}:${rest.padStart(5, '0')}`
}

/** `512 bytes`, `3.4 MB`. */
export function bytes(size: number): string {
  const units = ['bytes', 'kB', 'MB', 'GB', 'TB']
  let value = size
  let unit = 0
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000
    unit += 1
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`
}
