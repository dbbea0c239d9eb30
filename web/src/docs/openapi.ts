/** As much of OpenAPI 3.1 as our own description uses. */
export interface Schema {
  $ref?: string
  type?: string | string[]
  title?: string
  description?: string
  format?: string
  enum?: unknown[]
  items?: Schema
  properties?: Record<string, Schema>
  required?: string[]
  anyOf?: Schema[]
  additionalProperties?: boolean | Schema
  default?: unknown
  minimum?: number
  maximum?: number
}

export interface Parameter {
  name: string
  in: string
  required?: boolean
  description?: string
  schema?: Schema
  content?: Record<string, { schema: Schema }>
}

export interface Operation {
  summary: string
  tags?: string[]
  parameters?: Parameter[]
  requestBody?: { content: Record<string, { schema: Schema }> }
  responses: Record<string, { description: string; content?: Record<string, { schema: Schema }> }>
  security?: unknown[]
}

export interface Description {
  info: { title: string; version: string; description?: string }
  paths: Record<string, Record<string, Operation>>
  components: { schemas: Record<string, Schema> }
}

export interface Entry {
  method: string
  path: string
  operation: Operation
}

/** Operations by tag, in the order of the description. */
export function byTag(description: Description): Map<string, Entry[]> {
  const groups = new Map<string, Entry[]>()
  for (const [path, operations] of Object.entries(description.paths)) {
    for (const [method, operation] of Object.entries(operations)) {
      const tag = operation.tags?.[0] ?? 'other'
      groups.set(tag, [...(groups.get(tag) ?? []), { method: method.toUpperCase(), path, operation }])
    }
  }
  return groups
}

/** A schema as a few words: `integer 1..64`, `array of DeviceItem`. */
export function brief(schema: Schema | undefined): string {
  if (!schema) return ''
  if (schema.$ref) return schema.$ref.split('/').pop() ?? ''
  if (schema.anyOf) return [...new Set(schema.anyOf.map(brief))].join(' or ')
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(' | ')
  if (schema.type === 'array') return `array of ${brief(schema.items) || 'anything'}`
  const type = Array.isArray(schema.type) ? schema.type.join(' or ') : (schema.type ?? 'anything')
  const limited = schema.minimum !== undefined || schema.maximum !== undefined
  return limited ? `${type} ${schema.minimum ?? ''}..${schema.maximum ?? ''}` : type
}

/** The named schemas a schema speaks of, itself first, each once. */
export function named(schema: Schema | undefined, found: string[] = []): string[] {
  if (!schema) return found
  const name = schema.$ref?.split('/').pop()
  if (name && !found.includes(name)) found.push(name)
  for (const part of [schema.items, ...(schema.anyOf ?? []), ...Object.values(schema.properties ?? {})]) {
    named(part, found)
  }
  return found
}
