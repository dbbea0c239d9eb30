import Hls, { type ErrorData } from 'hls.js/light'
import type { Links } from './link'
import { pause, type Happening } from './status'

/** Time for what is listed last to arrive. */
const LAST_LOADS_MS = 3000

/** How a browser can play a live stream. */
export type Way = 'mse' | 'native' | 'none'

/** Media Source first: it gives the low delay; Safari on phones has only its own player. */
export function chooseWay(mse: boolean, native: string): Way {
  if (mse) return 'mse'
  return native ? 'native' : 'none'
}

/** What to do about an error that hls.js cannot mend itself. */
export type Remedy = 'ended' | 'recover' | 'retry' | 'unplayable'

/** Decide by kind of error, HTTP status and how often it was tried. */
export function remedy(type: string, status: number | undefined, tries: number): Remedy {
  if (type === 'networkError') return status === 404 || status === 410 ? 'ended' : 'retry'
  if (type === 'mediaError' && tries < 3) return 'recover'
  return type === 'mediaError' || type === 'muxError' ? 'unplayable' : 'retry'
}

export interface LivePlayer {
  /** Go to the newest picture. */
  jump(): void
  /** Seconds behind the newest picture; undefined where the browser does not say. */
  behind(): number | undefined
  /** When the picture on screen was taken. */
  shown(): Date | undefined
  stop(): void
}

/** Play a live stream in `video`, telling what happens. */
export function playLive(video: HTMLVideoElement, links: Links, tell: (happening: Happening) => void): LivePlayer {
  const way = chooseWay(Hls.isSupported(), video.canPlayType('application/vnd.apple.mpegurl'))
  video.addEventListener('playing', () => tell('playing'))
  video.addEventListener('waiting', () => tell('stalled'))
  video.addEventListener('ended', () => tell('ended'))
  if (way === 'mse') return playWithHls(video, links, tell)
  if (way === 'native') return playNatively(video, links, tell)
  tell('unplayable')
  return { jump: () => {}, behind: () => undefined, shown: () => undefined, stop: () => {} }
}

function playNatively(video: HTMLVideoElement, links: Links, tell: (happening: Happening) => void): LivePlayer {
  tell('waiting')
  video.addEventListener('error', () => tell(video.error?.code === 4 ? 'unplayable' : 'ended'))
  video.src = links.lowLatency
  void start(video)
  const end = (): number => (video.seekable.length ? video.seekable.end(video.seekable.length - 1) : 0)
  return {
    jump: () => {
      video.currentTime = end()
      void start(video)
    },
    behind: () => (end() ? end() - video.currentTime : undefined),
    shown: () => undefined,
    stop: () => video.removeAttribute('src'),
  }
}

function playWithHls(video: HTMLVideoElement, links: Links, tell: (happening: Happening) => void): LivePlayer {
  // No worker: it would need scripts from blob addresses, which the page's content policy forbids. fMP4 parts need
  // next to no work anyway.
  const hls = new Hls({ lowLatencyMode: true, enableWorker: false, backBufferLength: 30, maxLiveSyncPlaybackRate: 1.1 })
  let tries = 0
  let timer: ReturnType<typeof setTimeout> | undefined
  const stop = (): void => {
    clearTimeout(timer)
    hls.destroy()
  }
  const over = (happening: Happening): void => {
    clearTimeout(timer)
    hls.stopLoad() // the last picture stays on screen
    tell(happening)
  }
  // A stream ends where its device stops, often within a part that hls.js does not fetch any more. So once the playlist
  // says that nothing more comes, running dry is the end.
  let lastListed = false
  const ranDry = (): void => {
    if (lastListed && video.readyState < HTMLMediaElement.HAVE_FUTURE_DATA) over('ended')
  }
  video.addEventListener('waiting', ranDry)
  hls.on(Hls.Events.LEVEL_UPDATED, (_event, { details }) => {
    if (details.live || lastListed) return
    lastListed = true
    timer = setTimeout(ranDry, LAST_LOADS_MS)
  })
  hls.on(Hls.Events.MANIFEST_PARSED, () => {
    tell('waiting')
    void start(video)
  })
  hls.on(Hls.Events.FRAG_BUFFERED, () => {
    tries = 0
  })
  hls.on(Hls.Events.ERROR, (_event, data: ErrorData) => {
    if (!data.fatal) return
    tries += 1
    const what = remedy(data.type, data.response?.code, tries)
    if (what === 'ended' || what === 'unplayable') return over(what)
    tell('reconnecting')
    if (what === 'recover') return hls.recoverMediaError()
    clearTimeout(timer)
    timer = setTimeout(() => {
      hls.loadSource(links.lowLatency)
      hls.startLoad()
    }, pause(tries) * 1000)
  })
  hls.attachMedia(video)
  hls.loadSource(links.lowLatency)
  return {
    jump: () => {
      if (hls.liveSyncPosition) video.currentTime = hls.liveSyncPosition
      void start(video)
    },
    behind: () => hls.latency || undefined,
    shown: () => hls.playingDate ?? undefined,
    stop,
  }
}

/** Browsers start video by themselves only without sound; the controls turn it on. */
export async function start(video: HTMLVideoElement): Promise<void> {
  try {
    await video.play()
  } catch {
    // The viewer presses play: the controls are there.
  }
}
