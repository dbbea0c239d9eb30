/** Addresses around one media link. */
export interface Links {
  uuid: string
  /** The file itself, or the classic playlist of a live stream. */
  file: string
  /** The JSON description. */
  about: string
  /** The JPEG preview. */
  poster: string
  /** The low-latency playlist of a live stream. */
  lowLatency: string
}

/** The links behind a page's path, `/watch/{uuid}`; undefined where it names no file. */
export function linksFromPath(path: string): Links | undefined {
  const uuid = /\/watch\/([0-9a-f]{64})\/?$/i.exec(path)?.[1]?.toUpperCase()
  if (!uuid) return undefined
  const file = `${path.slice(0, path.lastIndexOf('/watch/'))}/media/${uuid}`
  return {
    uuid,
    file,
    about: `${file}?preview=json`,
    poster: `${file}?preview=jpeg`,
    lowLatency: `${file}/ll.m3u8`,
  }
}
