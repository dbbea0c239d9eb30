import { describe, expect, it } from 'vitest'
import { linksFromPath } from '../src/watch/link'

const uuid = 'C7F49F4EB8EE560A0000104148A3780FB1F80B00000000009D3031141F0BE3F4'

describe('the links behind a path', () => {
  it('stand beside the page', () => {
    expect(linksFromPath(`/watch/${uuid}`)).toEqual({
      uuid,
      file: `/media/${uuid}`,
      about: `/media/${uuid}?preview=json`,
      poster: `/media/${uuid}?preview=jpeg`,
      lowLatency: `/media/${uuid}/ll.m3u8`,
    })
  })
  it('take lower case and a slash at the end', () => {
    expect(linksFromPath(`/watch/${uuid.toLowerCase()}/`)?.file).toBe(`/media/${uuid}`)
  })
  it.each(['/watch/', '/watch/abc', `/watch/${uuid}0`, `/media/${uuid}`, '/'])('are none for %s', (path) => {
    expect(linksFromPath(path)).toBeUndefined()
  })
})
