import { el } from '../shared/dom'
import { problems } from './check'
import {
  choicesOf, isObject, kindOf, orderOf, resolved, same, typeOf, variantsOf, type Kind, type Schema,
} from './schema'

/** A part of the form: something to see, and the value it stands for. */
export interface Field {
  readonly element: HTMLElement
  /** The value as it is now; undefined where nothing was given. */
  value(): unknown
}

/** What a field is made from. */
interface Plan {
  root: Schema
  schema: Schema
  /** Where the value stands, as problems name it. */
  path: string
  /** What it holds at first. */
  value: unknown
  required: boolean
  depth: number
}

/** Below this what holds others is edited as JSON: a schema may hold itself. */
const DEEPEST = 6
const HOLDERS: Kind[] = ['object', 'array', 'variants']

/** The field of a whole schema, holding `value` at first. */
export function fieldOf(root: Schema, value: unknown): Field {
  return build({ root, schema: root, path: '', value, required: true, depth: 0 })
}

function build(plan: Plan): Field {
  const schema = resolved(plan.root, plan.schema)
  const known: Plan = { ...plan, schema, value: plan.value ?? schema.default }
  const kind = kindOf(schema)
  return MAKERS[plan.depth > DEEPEST && HOLDERS.includes(kind) ? 'json' : kind](known)
}

const MAKERS: Record<Kind, (plan: Plan) => Field> = {
  variants, choice, object, array, boolean, integer: number, number, 'unix-time': unixTime, 'date-time': dateTime, string,
  json,
}

// ---- what holds others

function object(plan: Plan): Field {
  const { schema } = plan
  const given = isObject(plan.value) ? plan.value : {}
  const parts = orderOf(schema).map((name): [string, Field] => [
    name,
    build({
      ...plan, schema: schema.properties?.[name] ?? {}, path: `${plan.path}/${name}`, value: given[name],
      required: schema.required?.includes(name) ?? false, depth: plan.depth + 1,
    }),
  ])
  const shown = new Set(parts.map(([name]) => name))
  const kept = schema.additionalProperties === false ? [] : Object.entries(given).filter(([name]) => !shown.has(name))
  const element = el('fieldset', { 'data-path': plan.path })
  const label = plan.path ? titleOf(plan) : schema.title
  if (label) element.append(el('legend', {}, label))
  element.append(...help(schema), ...parts.map(([, part]) => part.element))
  return {
    element,
    value: () => {
      const entries = parts.map(([name, part]) => [name, part.value()]).filter(([, value]) => value !== undefined)
      const whole = Object.fromEntries([...kept, ...entries]) as Record<string, unknown>
      return plan.required || Object.keys(whole).length > 0 ? whole : undefined
    },
  }
}

function array(plan: Plan): Field {
  const { schema } = plan
  const rows = el('div', { class: 'rows' })
  const held = new Map<Element, Field>()
  const place = (value: unknown): void => {
    const part = build({
      ...plan, schema: { title: '', ...resolved(plan.root, schema.items ?? {}) }, path: `${plan.path}/${held.size}`, value,
      required: true, depth: plan.depth + 1,
    })
    const remove = el('button', { type: 'button', title: 'Remove' }, '×')
    const row = el('div', { class: 'row' }, part.element, remove)
    remove.addEventListener('click', () => {
      held.delete(row)
      row.remove()
      changed(rows)
    })
    held.set(row, part)
    rows.append(row)
  }
  const given = Array.isArray(plan.value) ? plan.value : []
  const least = plan.required ? (schema.minItems ?? 0) : 0
  for (let index = 0; index < Math.max(given.length, least); index += 1) place(given[index])
  const add = el('button', { type: 'button' }, 'Add')
  add.addEventListener('click', () => {
    place(undefined)
    changed(rows)
  })
  const element = el('fieldset', { 'data-path': plan.path }, el('legend', {}, titleOf(plan)), ...help(schema), rows, add)
  return {
    element,
    value: () => {
      const items = [...held.values()].map((part) => part.value() ?? null)
      return plan.required || items.length > 0 ? items : undefined
    },
  }
}

function variants(plan: Plan): Field {
  const offered = variantsOf(plan.root, plan.schema) ?? []
  const select = el('select')
  offered.forEach((variant, index) => {
    select.append(el('option', { value: String(index) }, variant.title ?? `Form ${index + 1}`))
  })
  const wrong = offered.map((variant) => (
    plan.value === undefined ? 0 : problems(plan.root, variant, plan.value).length
  ))
  let chosen = Math.max(0, wrong.indexOf(Math.min(...wrong)))
  select.value = String(chosen)
  const make = (value: unknown): Field => build({ ...plan, schema: { ...offered[chosen], title: '' }, value })
  let part = make(plan.value)
  const body = el('div', {}, part.element)
  select.addEventListener('change', () => {
    chosen = Number(select.value)
    part = make(carried(plan.root, offered[chosen] ?? {}, part.value()))
    body.replaceChildren(part.element)
    changed(body)
  })
  const title = plan.path ? titleOf(plan) : (plan.schema.title ?? 'Kind')
  const element = el('div', { 'data-path': plan.path }, el('label', {}, el('span', {}, title), select), body)
  return { element, value: () => part.value() }
}

/** What of a value another variant shows too. */
function carried(root: Schema, schema: Schema, value: unknown): unknown {
  const { properties } = resolved(root, schema)
  if (!isObject(value) || !properties) return value
  const fitting = Object.entries(value).flatMap(([name, item]) => {
    const known = Object.hasOwn(properties, name) ? properties[name] : undefined
    return known && problems(root, known, item).length === 0 ? [[name, carried(root, known, item)]] : []
  })
  return Object.fromEntries(fitting)
}

// ---- single values

function choice(plan: Plan): Field {
  const choices = choicesOf(plan.schema)
  const fixed = choices.length === 1 && (plan.required || plan.value !== undefined)
  if (fixed) {
    const text = el('output', {}, shownAs(choices[0]))
    return { element: labelled(plan, text), value: () => choices[0] }
  }
  const select = el('select')
  if (!plan.required || plan.value === undefined) select.append(el('option', { value: '' }, plan.required ? 'Choose…' : '—'))
  choices.forEach((each, index) => select.append(el('option', { value: String(index) }, shownAs(each))))
  const at = choices.findIndex((each) => same(each, plan.value))
  select.value = at < 0 ? '' : String(at)
  return { element: labelled(plan, select), value: () => (select.value === '' ? undefined : choices[Number(select.value)]) }
}

function boolean(plan: Plan): Field {
  if (!plan.required && plan.value === undefined) return choice({ ...plan, schema: { ...plan.schema, enum: [true, false] } })
  const box = el('input', { type: 'checkbox' })
  box.checked = plan.value === true
  return { element: labelled(plan, box), value: () => box.checked }
}

function number(plan: Plan): Field {
  const { schema } = plan
  const input = el('input', { type: 'number', step: typeOf(schema) === 'integer' ? '1' : 'any' })
  if (schema.minimum !== undefined) input.min = String(schema.minimum)
  if (schema.maximum !== undefined) input.max = String(schema.maximum)
  if (typeof plan.value === 'number') input.value = String(plan.value)
  // NaN, so that a text that is no number is seen as wrong and not as nothing.
  return { element: labelled(plan, input), value: () => (input.validity.badInput ? NaN : numberIn(input.value)) }
}

function numberIn(text: string): number | undefined {
  return text.trim() === '' ? undefined : Number(text)
}

function string(plan: Plan): Field {
  const { schema } = plan
  const long = (schema.maxLength ?? 0) > 200
  const input = long ? el('textarea', { rows: '3' }) : el('input', { type: 'text', autocomplete: 'off' })
  input.value = typeof plan.value === 'string' ? plan.value : ''
  const empty = plan.value === '' ? '' : undefined
  return { element: labelled(plan, input), value: () => (input.value === '' && !plan.required ? empty : input.value) }
}

/** Unix seconds, shown as a time of this place. */
function unixTime(plan: Plan): Field {
  const given = typeof plan.value === 'number' ? plan.value : undefined
  return time(plan, given, (moment) => moment, given)
}

/** An RFC 3339 text, shown as a time of this place. */
function dateTime(plan: Plan): Field {
  const parsed = typeof plan.value === 'string' ? Date.parse(plan.value) / 1000 : NaN
  const given = Number.isNaN(parsed) ? undefined : parsed
  return time(plan, given, (moment) => new Date(moment * 1000).toISOString(), given === undefined ? undefined : plan.value)
}

function time(plan: Plan, given: number | undefined, written: (seconds: number) => unknown, first: unknown): Field {
  const input = el('input', { type: 'datetime-local', step: '1' })
  if (given !== undefined) input.value = localTime(given)
  // A time nobody touched goes back as it came, with its fraction of a second.
  const before = input.value
  return {
    element: labelled(plan, input),
    value: () => {
      if (input.value === before) return first
      const moment = Date.parse(input.value) / 1000
      return Number.isNaN(moment) ? undefined : written(moment)
    },
  }
}

/** `2026-03-01T08:30:00` in this place's time. */
export function localTime(seconds: number): string {
  const moment = new Date(seconds * 1000)
  const two = (part: number): string => String(part).padStart(2, '0')
  const day = `${String(moment.getFullYear()).padStart(4, '0')}-${two(moment.getMonth() + 1)}-${two(moment.getDate())}`
  return `${day}T${two(moment.getHours())}:${two(moment.getMinutes())}:${two(moment.getSeconds())}`
}

/** What has no form of its own: JSON text. */
function json(plan: Plan): Field {
  const area = el('textarea', { rows: '3', spellcheck: 'false', class: 'json' })
  if (typeOf(plan.schema) === 'object') area.placeholder = '{"name": "value"}'
  if (plan.value !== undefined) area.value = JSON.stringify(plan.value, undefined, 2)
  return {
    element: labelled(plan, area),
    value: () => {
      if (area.value.trim() === '') return plan.required && typeOf(plan.schema) === 'object' ? {} : undefined
      try {
        return JSON.parse(area.value) as unknown
      } catch {
        return NaN // of no type that JSON has, so it is wrong wherever it stands
      }
    },
  }
}

// ---- around a value

function labelled(plan: Plan, input: HTMLElement): HTMLElement {
  const name = titleOf(plan)
  const title = plan.required && name ? `${name} *` : name
  const label = el('label', {}, el('span', {}, title), input)
  return el('div', { class: 'field', 'data-path': plan.path }, label, ...help(plan.schema), el('p', { class: 'problem' }))
}

function help(schema: Schema): HTMLElement[] {
  if (!schema.description) return []
  // What stands between backticks is a word to type.
  const parts = schema.description.split('`').map((text, index) => (index % 2 ? el('code', {}, text) : text))
  return [el('p', { class: 'help' }, ...parts)]
}

function titleOf(plan: Plan): string {
  return plan.schema.title ?? plan.path.slice(plan.path.lastIndexOf('/') + 1)
}

function shownAs(value: unknown): string {
  return value === true ? 'yes' : value === false ? 'no' : typeof value === 'string' ? value : JSON.stringify(value)
}

/** Rows come and go without an input of their own that would tell. */
function changed(element: HTMLElement): void {
  element.dispatchEvent(new Event('change', { bubbles: true }))
}
