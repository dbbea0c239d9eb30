import { describe, expect, it } from 'vitest'
import { final, fromHttp, pause, words } from '../src/watch/status'

describe('words', () => {
  it('speak of a stream where it is one', () => {
    expect(words('gone', true)).toBe('This live stream has ended.')
    expect(words('gone', false)).toContain('not here any more')
    expect(words('private', true)).toContain('not shared')
  })
  it('say nothing while a file plays', () => expect(words('playing', false)).toBe(''))
})

it.each([[401, 'private'], [403, 'private'], [404, 'gone'], [400, 'invalid'], [500, 'unreachable'], [503, 'unreachable']])(
  'status %d means %s',
  (status, meaning) => expect(fromHttp(status)).toBe(meaning),
)

it('tries again ever more slowly', () => expect([1, 2, 3, 4, 5, 9].map(pause)).toEqual([1, 2, 4, 8, 15, 15]))

it('knows what is over', () => {
  expect(final('ended')).toBe(true)
  expect(final('reconnecting')).toBe(false)
})
