/** A JSON schema (2020-12), as far as a form shows it. What it does not know is edited as JSON text. */
export interface Schema {
  $ref?: string
  $defs?: Record<string, Schema>
  definitions?: Record<string, Schema>
  allOf?: Schema[]
  anyOf?: Schema[]
  oneOf?: Schema[]
  type?: string | string[]
  title?: string
  description?: string
  enum?: unknown[]
  const?: unknown
  default?: unknown
  format?: string
  pattern?: string
  minimum?: number
  maximum?: number
  exclusiveMinimum?: number
  exclusiveMaximum?: number
  multipleOf?: number
  minLength?: number
  maxLength?: number
  minItems?: number
  maxItems?: number
  uniqueItems?: boolean
  items?: Schema
  properties?: Record<string, Schema>
  required?: string[]
  additionalProperties?: boolean | Schema
  'x-view-order'?: string[]
}

/** How a schema is edited. */
export type Kind =
  | 'variants' | 'choice' | 'object' | 'array' | 'boolean' | 'integer' | 'number' | 'unix-time' | 'date-time' | 'string'
  | 'json'

const MOST_REFS = 20

/** The schema with `$ref` (within the document) followed and `allOf` joined. An unknown reference allows anything. */
export function resolved(root: Schema, schema: Schema): Schema {
  let found: Schema | undefined = schema
  for (let turn = 0; found?.$ref !== undefined; turn += 1) {
    const aim: Schema | undefined = turn < MOST_REFS ? lookUp(root, found.$ref) : undefined
    const own: Schema = { ...found }
    delete own.$ref
    found = aim && { ...aim, ...own }
  }
  if (!found?.allOf) return found ?? {}
  const { allOf, ...own } = found
  return [...allOf.map((part) => resolved(root, part)), own].reduce(joined, {})
}

function lookUp(root: Schema, reference: string): Schema | undefined {
  if (!reference.startsWith('#/')) return reference === '#' ? root : undefined
  let at: unknown = root
  for (const step of reference.slice(2).split('/')) {
    const name = decodeURIComponent(step).replaceAll('~1', '/').replaceAll('~0', '~')
    at = isObject(at) && Object.hasOwn(at, name) ? at[name] : undefined
  }
  return isObject(at) ? at : undefined
}

function joined(one: Schema, other: Schema): Schema {
  const both: Schema = { ...one, ...other }
  if (one.properties && other.properties) both.properties = { ...one.properties, ...other.properties }
  if (one.required && other.required) both.required = [...new Set([...one.required, ...other.required])]
  return both
}

/** The alternatives of a resolved schema, each with what stands beside them; undefined where there are none. */
export function variantsOf(root: Schema, schema: Schema): Schema[] | undefined {
  const { anyOf, oneOf, ...own } = schema
  const found = anyOf ?? oneOf
  return found?.map((variant) => joined(own, resolved(root, variant)))
}

/** How a resolved schema is edited. */
export function kindOf(schema: Schema): Kind {
  if (schema.anyOf ?? schema.oneOf) return 'variants'
  if (schema.enum !== undefined || 'const' in schema) return 'choice'
  switch (typeOf(schema)) {
    case 'object':
      return schema.properties && Object.keys(schema.properties).length > 0 ? 'object' : 'json'
    case 'array':
      return schema.items ? 'array' : 'json'
    case 'boolean':
      return 'boolean'
    case 'integer':
    case 'number':
      // Schemas say so in words: "Begin, Unix seconds.", "unix UTC".
      if (/\bunix\b/i.test(`${schema.title ?? ''} ${schema.description ?? ''}`)) return 'unix-time'
      return typeOf(schema) === 'integer' ? 'integer' : 'number'
    case 'string':
      return schema.format === 'date-time' ? 'date-time' : 'string'
    default:
      return 'json'
  }
}

/** The type a value is given, null aside. */
export function typeOf(schema: Schema): string | undefined {
  const said = Array.isArray(schema.type) ? schema.type.find((type) => type !== 'null') : schema.type
  return said ?? (schema.properties ? 'object' : schema.items ? 'array' : undefined)
}

/** The values a choice offers. */
export function choicesOf(schema: Schema): unknown[] {
  return schema.enum ?? [schema.const]
}

/** Names of the properties, in the order a form shows them. */
export function orderOf(schema: Schema): string[] {
  const names = Object.keys(schema.properties ?? {})
  const first = (schema['x-view-order'] ?? []).filter((name) => names.includes(name))
  return [...new Set([...first, ...names])]
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Whether two JSON values are the same. */
export function same(one: unknown, other: unknown): boolean {
  if (Array.isArray(one) && Array.isArray(other)) {
    return one.length === other.length && one.every((item, index) => same(item, other[index]))
  }
  if (isObject(one) && isObject(other)) {
    const names = Object.keys(one)
    return names.length === Object.keys(other).length
      && names.every((name) => Object.hasOwn(other, name) && same(one[name], other[name]))
  }
  return one === other
}
