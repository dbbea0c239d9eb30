import { describe, expect, it } from 'vitest'
import { bytes, facts, kindOf, length, type About } from '../src/watch/about'

const clip: About = {
  name: 'VID_2.mp4',
  mime: 'video/mp4',
  size: 7762109,
  created: 1760000000,
  meta: { type: 'video', channel: 2, duration: 51.072 },
}

describe('what a link is', () => {
  it.each([
    [clip, 'video'],
    [{ ...clip, mime: 'image/jpeg', meta: { type: 'image' } }, 'image'],
    [{ ...clip, mime: 'application/x-mpegURL', meta: { type: 'mediastream' } }, 'live'],
    [{ ...clip, mime: 'video/x-flv', meta: { type: 'mediastream' } }, 'live'],
    [{ ...clip, mime: 'audio/aac', meta: {} }, 'audio'],
    [{ ...clip, mime: 'application/octet-stream', meta: { type: 'tacho' } }, 'other'],
  ] as const)('%#: is told from its type', (about, kind) => {
    expect(kindOf(about as About)).toBe(kind)
  })

  it('says camera, time with its zone, length and size', () => {
    const line = facts(clip, 'en-GB', 'UTC')
    expect(line).toContain('Camera 2 · 9 Oct 2025, 08:53:20 UTC')
    expect(line).toContain('0:51 · 7.8 MB')
  })

  it('says since when a stream runs, and no size', () => {
    const line = facts({ ...clip, size: 0, meta: { type: 'mediastream', channel: 1 } }, 'en-GB', 'UTC')
    expect(line).toBe('Camera 1 · Since 9 Oct 2025, 08:53:20 UTC')
  })

  it('leaves out what is not known', () => {
    expect(facts({ name: 'x', mime: 'text/plain', size: 0, created: 0, meta: {} })).toBe('')
  })
})

describe('numbers for people', () => {
  it.each([[9, '0:09'], [754, '12:34'], [3723, '1:02:03'], [59.6, '1:00']])('%d s', (seconds, text) => {
    expect(length(seconds)).toBe(text)
  })
  it.each([[0, '0 bytes'], [999, '999 bytes'], [1500, '1.5 kB'], [250e6, '250 MB'], [4.2e9, '4.2 GB']])(
    '%d bytes',
    (size, text) => expect(bytes(size)).toBe(text),
  )
})
