import { describe, expect, it } from 'vitest'
import { chooseWay, remedy } from '../src/watch/live'

describe('the way a stream is played', () => {
  it.each([
    [true, '', 'mse'],
    [true, 'maybe', 'mse'],
    [false, 'maybe', 'native'],
    [false, '', 'none'],
  ] as const)('MSE %s, native "%s": %s', (mse, native, way) => expect(chooseWay(mse, native)).toBe(way))
})

describe('the remedy for an error', () => {
  it.each([
    ['networkError', 404, 1, 'ended'],
    ['networkError', 503, 9, 'retry'],
    ['networkError', undefined, 1, 'retry'],
    ['mediaError', undefined, 1, 'recover'],
    ['mediaError', undefined, 3, 'unplayable'],
    ['muxError', undefined, 1, 'unplayable'],
    ['otherError', undefined, 1, 'retry'],
  ] as const)('%s with status %s after %d tries: %s', (type, status, tries, what) => {
    expect(remedy(type, status, tries)).toBe(what)
  })
})
