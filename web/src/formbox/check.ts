import { choicesOf, isObject, resolved, same, variantsOf, type Schema } from './schema'

/** What is wrong with a value, and where: names of properties and indexes of items, joined by `/`. */
export interface Problem {
  path: string
  text: string
}

const DEEPEST = 32

/** Everything that is wrong with a value; empty if nothing. */
export function problems(root: Schema, schema: Schema, value: unknown, path = '', depth = 0): Problem[] {
  if (depth > DEEPEST) return [{ path, text: 'is nested too deep' }]
  const known = resolved(root, schema)
  const variants = variantsOf(root, known)
  if (variants) {
    const found = variants.map((variant) => problems(root, variant, value, path, depth + 1))
    return found.reduce((best, other) => (other.length < best.length ? other : best), found[0] ?? [])
  }
  const fail = (text: string): Problem[] => [{ path, text }]
  if ((known.enum !== undefined || 'const' in known) && !choicesOf(known).some((choice) => same(choice, value))) {
    return fail(`must be ${choicesOf(known).map((choice) => JSON.stringify(choice)).join(' or ')}`)
  }
  const types = typeof known.type === 'string' ? [known.type] : known.type
  if (types && !types.some((type) => isOf(type, value))) return fail(`must be ${types.map(article).join(' or ')}`)
  if (typeof value === 'number') return ofNumber(known, value).flatMap(fail)
  if (typeof value === 'string') return ofString(known, value).flatMap(fail)
  if (Array.isArray(value)) return ofArray(root, known, value, path, depth)
  return isObject(value) ? ofObject(root, known, value, path, depth) : []
}

function isOf(type: string, value: unknown): boolean {
  switch (type) {
    case 'object': return isObject(value)
    case 'array': return Array.isArray(value)
    case 'integer': return Number.isInteger(value)
    case 'number': return Number.isFinite(value)
    case 'null': return value === null
    default: return typeof value === type
  }
}

function article(type: string): string {
  const words: Record<string, string> = { integer: 'a whole number', array: 'a list', object: 'an object', null: 'empty' }
  return words[type] ?? `a ${type}`
}

function ofNumber(schema: Schema, value: number): string[] {
  const { minimum, maximum, exclusiveMinimum: above, exclusiveMaximum: below, multipleOf: step } = schema
  if (minimum !== undefined && value < minimum) return [`must be ${minimum} or more`]
  if (maximum !== undefined && value > maximum) return [`must be ${maximum} or less`]
  if (above !== undefined && value <= above) return [`must be more than ${above}`]
  if (below !== undefined && value >= below) return [`must be less than ${below}`]
  // 0.3 is no multiple of 0.1 in binary numbers.
  const steps = step === undefined ? 0 : value / step
  return Math.abs(steps - Math.round(steps)) > 1e-9 * Math.max(1, Math.abs(steps)) ? [`must be a multiple of ${step}`] : []
}

function ofString(schema: Schema, value: string): string[] {
  const length = [...value].length
  const { minLength = 0, maxLength = Infinity, pattern } = schema
  if (length < minLength) return [length === 0 ? 'is needed' : `must have at least ${minLength} characters`]
  if (length > maxLength) return [`must have at most ${maxLength} characters`]
  return pattern !== undefined && !matches(pattern, value) ? [`must look like ${pattern}`] : []
}

function matches(pattern: string, value: string): boolean {
  try {
    return new RegExp(pattern, 'u').test(value)
  } catch {
    return true // not a pattern of this language: the server decides
  }
}

function ofArray(root: Schema, schema: Schema, value: unknown[], path: string, depth: number): Problem[] {
  const found: Problem[] = []
  const { minItems = 0, maxItems = Infinity, items } = schema
  if (value.length < minItems) found.push({ path, text: `must have at least ${minItems}` })
  if (value.length > maxItems) found.push({ path, text: `must have at most ${maxItems}` })
  if (schema.uniqueItems && value.some((item, index) => value.slice(0, index).some((other) => same(item, other)))) {
    found.push({ path, text: 'must not hold anything twice' })
  }
  if (items) value.forEach((item, index) => found.push(...problems(root, items, item, `${path}/${index}`, depth + 1)))
  return found
}

function ofObject(
  root: Schema, schema: Schema, value: Record<string, unknown>, path: string, depth: number,
): Problem[] {
  const found: Problem[] = []
  const { properties = {}, additionalProperties: others = true } = schema
  for (const name of schema.required ?? []) {
    if (value[name] === undefined) found.push({ path: `${path}/${name}`, text: 'is needed' })
  }
  for (const [name, item] of Object.entries(value)) {
    if (item === undefined) continue
    const known = Object.hasOwn(properties, name) ? properties[name] : isObject(others) ? others : undefined
    if (known) found.push(...problems(root, known, item, `${path}/${name}`, depth + 1))
    else if (others === false) found.push({ path: `${path}/${name}`, text: 'is not known' })
  }
  return found
}
