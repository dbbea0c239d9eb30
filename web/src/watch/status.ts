/** What happens to a link while it is watched, and how that reads. */
export type Happening =
  | 'loading'
  | 'waiting'
  | 'playing'
  | 'stalled'
  | 'reconnecting'
  | 'ended'
  | 'gone'
  | 'private'
  | 'unreachable'
  | 'unplayable'
  | 'invalid'
  | 'shown'

const LIVE: Partial<Record<Happening, string>> = {
  waiting: 'Connected. Waiting for the first picture…',
  playing: 'Live',
  stalled: 'The connection is slow. Waiting for pictures…',
  reconnecting: 'The connection was lost. Trying again…',
  ended: 'The live stream has ended.',
  gone: 'This live stream has ended.',
  unplayable: 'This browser cannot play this live stream.',
}

const FILE: Record<Happening, string> = {
  loading: 'Loading…',
  waiting: 'Loading…',
  playing: '',
  stalled: 'The connection is slow. Loading more…',
  reconnecting: 'The connection was lost. Trying again…',
  ended: '',
  gone: 'This file is not here any more. It was deleted or its time is over.',
  private: 'This file is not shared. Ask whoever sent you the link.',
  unreachable: 'The server cannot be reached. Check your connection; the page tries again by itself.',
  unplayable: 'This browser cannot play this file. Download it to play it with another program.',
  invalid: 'This link is not complete. Copy all of it and open it again.',
  shown: '',
}

/** The sentence for people; empty where there is nothing to say. */
export function words(happening: Happening, live: boolean): string {
  return (live ? LIVE[happening] : undefined) ?? FILE[happening]
}

/** Whether it is over, so that nothing is tried again. */
export function final(happening: Happening): boolean {
  return ['ended', 'gone', 'private', 'unplayable', 'invalid'].includes(happening)
}

/** What an HTTP status of the description means. */
export function fromHttp(status: number): Happening {
  if (status === 401 || status === 403) return 'private'
  if (status === 404 || status === 410) return 'gone'
  if (status === 400) return 'invalid'
  return 'unreachable'
}

/** Seconds before the next try: 1, 2, 4, 8, at most 15. */
export function pause(tries: number): number {
  return Math.min(15, 2 ** Math.max(0, tries - 1))
}
