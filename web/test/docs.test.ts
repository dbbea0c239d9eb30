import { describe, expect, it } from 'vitest'
import { brief, byTag, named, type Description } from '../src/docs/openapi'

describe('a schema in few words', () => {
  it.each([
    [{ $ref: '#/components/schemas/DeviceItem' }, 'DeviceItem'],
    [{ type: 'integer', minimum: 1, maximum: 64 }, 'integer 1..64'],
    [{ type: 'array', items: { type: 'string' } }, 'array of string'],
    [{ anyOf: [{ type: 'string' }, { type: 'array', items: { type: 'string' } }] }, 'string or array of string'],
    [{ enum: ['video', 'image'] }, '"video" | "image"'],
    [{}, 'anything'],
    [undefined, ''],
  ])('%#', (schema, text) => expect(brief(schema)).toBe(text))
})

it('finds every named schema once', () => {
  const ref = { $ref: '#/components/schemas/A' }
  expect(named({ anyOf: [ref, { type: 'array', items: ref }], properties: { b: { $ref: '#/x/B' } } })).toEqual(['A', 'B'])
})

it('groups operations by tag, in order', () => {
  const responses = {}
  const description: Description = {
    info: { title: 'x', version: '1' },
    paths: {
      '/a': { get: { summary: 'read', tags: ['a'], responses }, put: { summary: 'write', tags: ['a'], responses } },
      '/b': { get: { summary: 'read', responses } },
    },
    components: { schemas: {} },
  }
  const groups = byTag(description)
  expect([...groups.keys()]).toEqual(['a', 'other'])
  expect(groups.get('a')?.map((entry) => entry.method)).toEqual(['GET', 'PUT'])
})
