import { describe, expect, it } from 'vitest'
import { problems } from '../src/formbox/check'
import { kindOf, orderOf, resolved, same, variantsOf, type Schema } from '../src/formbox/schema'

const texts = (schema: Schema, value: unknown): string[] => problems(schema, schema, value).map(({ path, text }) => `${path} ${text}`.trim())

describe('what is wrong with a value', () => {
  it.each<[Schema, unknown, string]>([
    [{ type: 'integer' }, 1.5, 'must be a whole number'],
    [{ type: 'number' }, NaN, 'must be a number'],
    [{ type: 'number', minimum: 1 }, 0, 'must be 1 or more'],
    [{ type: 'number', maximum: 1 }, 2, 'must be 1 or less'],
    [{ type: 'number', exclusiveMinimum: 1 }, 1, 'must be more than 1'],
    [{ type: 'number', exclusiveMaximum: 1 }, 1, 'must be less than 1'],
    [{ type: 'number', multipleOf: 0.1 }, 0.35, 'must be a multiple of 0.1'],
    [{ type: 'string', minLength: 1 }, '', 'is needed'],
    [{ type: 'string', minLength: 3 }, 'ab', 'must have at least 3 characters'],
    [{ type: 'string', maxLength: 1 }, '🚚🚚', 'must have at most 1 characters'],
    [{ type: 'string', pattern: '^[0-9]+$' }, 'x', 'must look like ^[0-9]+$'],
    [{ type: 'string', enum: ['main', 'sub'] }, 'x', 'must be "main" or "sub"'],
    [{ const: 5 }, 4, 'must be 5'],
    [{ type: ['string', 'null'] }, 4, 'must be a string or empty'],
    [{ type: 'boolean' }, 'true', 'must be a boolean'],
    [{ type: 'array', minItems: 2 }, [1], 'must have at least 2'],
    [{ type: 'array', maxItems: 1 }, [1, 2], 'must have at most 1'],
    [{ type: 'array', uniqueItems: true }, [{ a: 1 }, { a: 1 }], 'must not hold anything twice'],
    [{ type: 'array', items: { type: 'string' } }, ['a', 1], '/1 must be a string'],
    [{ required: ['from'] }, {}, '/from is needed'],
    [{ additionalProperties: false }, { x: 1 }, '/x is not known'],
    [{ additionalProperties: { type: 'string' } }, { x: 1 }, '/x must be a string'],
    [{ properties: { a: { properties: { b: { type: 'string' } } } } }, { a: { b: 1 } }, '/a/b must be a string'],
  ])('%j does not take %j', (schema, value, said) => expect(texts(schema, value)).toEqual([said]))

  it.each<[Schema, unknown]>([
    [{ type: 'number', multipleOf: 0.1 }, 0.3],
    [{ type: 'string', pattern: '(' }, 'a pattern of another language'],
    [{ enum: [{ a: [1] }] }, { a: [1] }],
    [{ type: ['string', 'null'] }, null],
    [{ properties: { a: { type: 'string' } } }, { a: undefined, b: 1 }],
    [{}, 'anything'],
    [{ $ref: '#/definitions/nothing' }, 'anything'],
  ])('%j takes %j', (schema, value) => expect(texts(schema, value)).toEqual([]))

  it('says of several variants what is wrong with the nearest', () => {
    const schema: Schema = { anyOf: [
      { required: ['a', 'b', 'c'] },
      { properties: { kind: { enum: ['x'] } }, required: ['kind', 'size'] },
    ] }
    expect(texts(schema, { kind: 'x' })).toEqual(['/size is needed'])
  })

  it('ends where a schema holds itself', () => {
    const endless: Schema = { $ref: '#/$defs/a', $defs: { a: { anyOf: [{ $ref: '#/$defs/a' }] } } }
    expect(texts(endless, 1)).toEqual(['is nested too deep'])
    expect(resolved({ $defs: { a: { $ref: '#/$defs/a' } } }, { $ref: '#/$defs/a' })).toEqual({})
  })
})

describe('a schema', () => {
  it('follows references and joins parts', () => {
    const root: Schema = {
      definitions: { 'media.file': { type: 'object', properties: { a: { type: 'string' } }, required: ['a'] } },
      allOf: [{ $ref: '#/definitions/media.file' }, { properties: { b: { type: 'number' } }, required: ['b'] }],
    }
    const whole = resolved(root, root)
    expect(Object.keys(whole.properties ?? {})).toEqual(['a', 'b'])
    expect(whole.required).toEqual(['a', 'b'])
  })

  it('gives each variant what stands beside them', () => {
    const schema: Schema = { properties: { name: { type: 'string' } }, oneOf: [{ properties: { a: {} } }] }
    expect(Object.keys(variantsOf(schema, schema)?.[0]?.properties ?? {})).toEqual(['name', 'a'])
  })

  it.each<[Schema, string]>([
    [{ type: 'number', description: 'Begin, Unix seconds.' }, 'unix-time'],
    [{ type: 'integer', title: 'Start time', description: 'unix UTC' }, 'unix-time'],
    [{ type: 'integer' }, 'integer'],
    [{ type: 'string', format: 'date-time' }, 'date-time'],
    [{ type: 'object' }, 'json'],
    [{ properties: { a: {} } }, 'object'],
    [{ type: ['null', 'boolean'] }, 'boolean'],
    [{ items: {} }, 'array'],
    [{ const: 1 }, 'choice'],
    [{ anyOf: [] }, 'variants'],
    [{}, 'json'],
  ])('%j is edited as %s', (schema, kind) => expect(kindOf(schema)).toBe(kind))

  it('shows properties in the order it names, then the others', () => {
    expect(orderOf({ properties: { a: {}, b: {}, c: {} }, 'x-view-order': ['c', 'gone'] })).toEqual(['c', 'a', 'b'])
  })

  it('compares values by what they hold', () => {
    expect(same({ a: [1, { b: null }] }, { a: [1, { b: null }] })).toBe(true)
    expect(same({ a: undefined }, { b: undefined })).toBe(false)
    expect(same([1], { 0: 1 })).toBe(false)
  })
})
