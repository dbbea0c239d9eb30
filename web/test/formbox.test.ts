// @vitest-environment happy-dom
import { beforeEach, describe, expect, it } from 'vitest'
import { localTime } from '../src/formbox/fields'
import { FormBox } from '../src/formbox/form'
import type { Schema } from '../src/formbox/schema'

const PARENT = 'https://app.example'

/** A frame whose parent writes down what it is told. */
class Frame extends EventTarget {
  readonly told: { text: string; to: string }[] = []
  readonly parent = { postMessage: (text: string, to: string) => this.told.push({ text, to }) }

  command(command: unknown, from: { origin?: string; source?: unknown } = {}): void {
    this.raw(`FormBox|cmd:${JSON.stringify(command)}`, from)
  }

  raw(data: unknown, { origin = PARENT, source = this.parent }: { origin?: string; source?: unknown } = {}): void {
    this.dispatchEvent(Object.assign(new Event('message'), { data, origin, source }))
  }

  last(kind: string): unknown {
    const found = this.told.filter(({ text }) => text.startsWith(`FormBox|${kind}:`)).at(-1)
    return found && (JSON.parse(found.text.slice(kind.length + 9)) as unknown)
  }

  /** The last said state of the form. */
  form(): unknown {
    return this.told.map(({ text }) => text).filter((text) => text.startsWith('FormBox|state:{"form"')).at(-1)
      ?.slice('FormBox|state:{"form":"'.length, -2)
  }
}

let frame: Frame
let box: FormBox

beforeEach(() => {
  document.body.innerHTML = '<main id="form"></main>'
  frame = new Frame()
  box = new FormBox(frame as unknown as Window, document.getElementById('form') as HTMLElement)
  box.start()
})

function show(schema: Schema, data?: unknown): unknown {
  frame.command({ applybtn: '', schema, ...(data === undefined ? {} : { data }) })
  return frame.last('data')
}

function input(path: string): HTMLInputElement {
  const found = document.querySelector<HTMLInputElement>(`[data-path="${path}"] :is(input, select, textarea)`)
  if (!found) throw new Error(`no input at ${path}: ${document.body.innerHTML}`)
  return found
}

function type(path: string, value: string): unknown {
  input(path).value = value
  input(path).dispatchEvent(new Event('input', { bubbles: true }))
  input(path).dispatchEvent(new Event('change', { bubbles: true }))
  return frame.last('data')
}

const REQUEST: Schema = {
  type: 'object', title: 'Request video', additionalProperties: false, required: ['channel', 'from', 'duration'],
  'x-view-order': ['channel', 'from', 'duration', 'quality'],
  properties: {
    channel: { type: 'integer', title: 'Camera', minimum: 1, maximum: 16 },
    quality: { type: 'string', title: 'Quality', enum: ['main', 'sub'] },
    from: { type: 'number', title: 'From', description: 'Begin, Unix seconds.' },
    duration: { type: 'number', title: 'Duration', minimum: 1, maximum: 3600 },
  },
}

describe('the talk with the page around', () => {
  it('says that it is ready, and nothing else, to anybody', () => {
    expect(frame.told).toEqual([{ text: 'FormBox|state:{"ready":true}', to: '*' }])
    box.resized()
    expect(frame.told).toHaveLength(1)
  })

  it('tells data, state and size after a prefill, to the origin that asked only', () => {
    expect(show(REQUEST, { channel: 1, from: 1760000000.5, duration: 30 })).toEqual({ channel: 1, from: 1760000000.5, duration: 30 })
    expect(frame.form()).toBe('ok')
    const size = frame.last('state') as { resize: { height: number } }
    expect(typeof size.resize.height).toBe('number')
    expect(new Set(frame.told.slice(1).map(({ to }) => to))).toEqual(new Set([PARENT]))
  })

  it.each([
    ['another window', () => frame.command({ schema: REQUEST }, { source: {} })],
    ['something that is no text', () => frame.raw({ schema: REQUEST })],
    ['another protocol', () => frame.raw('Other|cmd:{}')],
    ['half a command', () => frame.raw('FormBox|cmd:{"schema"')],
    ['a command that is no object', () => frame.raw('FormBox|cmd:[1]')],
    ['a command without end', () => frame.raw(`FormBox|cmd:{"schema":{"title":"${'x'.repeat(1e6)}"}}`)],
  ])('does not listen to %s', (_, say) => {
    say()
    expect(frame.told).toHaveLength(1)
    expect(document.querySelector('main')?.children.length).toBe(0)
  })

  it('answers a page without an address of its own', () => {
    frame.command({ schema: REQUEST }, { origin: 'null' })
    expect(frame.told.at(-1)?.to).toBe('*')
  })

  it('says what is wrong, in place and to the page around', () => {
    show(REQUEST, { channel: 99, from: 1760000000, duration: 30 })
    expect(frame.form()).toBe('channel must be 16 or less')
    expect(document.querySelector('[data-path="/channel"] .problem')?.textContent).toBe('must be 16 or less')
    type('/channel', '2')
    expect(frame.form()).toBe('ok')
    expect(document.querySelector('[data-path="/channel"] .problem')?.textContent).toBe('')
    type('/duration', '')
    expect(frame.form()).toBe('duration is needed')
  })

  it('takes new data with the schema it has, and a new schema without old data', () => {
    show(REQUEST, { channel: 1, from: 1, duration: 30 })
    frame.command({ data: { channel: 2, from: 1, duration: 30 } })
    expect(frame.last('data')).toMatchObject({ channel: 2 })
    expect(show({ properties: { name: { type: 'string' } } })).toEqual({})
  })

  it('is nothing outside a frame', () => {
    const alone = { addEventListener: () => undefined } as unknown as Record<string, unknown>
    alone.parent = alone
    new FormBox(alone as unknown as Window, document.getElementById('form') as HTMLElement).start()
    expect(document.body.textContent).toContain('inside an application')
  })

  it('shows texts of the schema as text', () => {
    show({ title: '<img src=x onerror=alert(1)>', properties: { a: { type: 'string', description: '<b>x</b>' } } })
    expect(document.querySelector('img, b')).toBeNull()
  })
})

describe('fields', () => {
  it('keep a time nobody touched, and read one that was typed as a time of this place', () => {
    show(REQUEST, { from: 1760000000.25 })
    expect(input('/from').value).toBe(localTime(1760000000))
    expect(frame.last('data')).toMatchObject({ from: 1760000000.25 })
    expect(type('/from', '2026-03-01T08:30:05')).toMatchObject({ from: new Date(2026, 2, 1, 8, 30, 5).getTime() / 1000 })
    expect(type('/from', '')).not.toHaveProperty('from')
  })

  it('write RFC 3339 where that is wanted', () => {
    const schema: Schema = { properties: { at: { type: 'string', format: 'date-time' } } }
    expect(show(schema, { at: '2026-03-01T08:30:00+02:00' })).toEqual({ at: '2026-03-01T08:30:00+02:00' })
    const moment = new Date(2026, 2, 1, 9)
    expect(type('/at', localTime(moment.getTime() / 1000))).toEqual({ at: moment.toISOString() })
  })

  it('leave out what is empty and not required', () => {
    expect(show(REQUEST)).toEqual({})
    expect(type('/quality', '1')).toEqual({ quality: 'sub' })
    expect(type('/quality', '')).toEqual({})
  })

  it('begin with defaults, which data overrules', () => {
    const schema: Schema = { properties: { a: { type: 'integer', default: 5 }, b: { type: 'string', enum: ['x', 'y'], default: 'y' } } }
    expect(show(schema)).toEqual({ a: 5, b: 'y' })
    expect(show(schema, { a: 0 })).toEqual({ a: 0, b: 'y' })
  })

  it('know yes, no and not said', () => {
    const schema: Schema = { required: ['must'], properties: { must: { type: 'boolean' }, on: { type: 'boolean', default: true }, may: { type: 'boolean' } } }
    expect(show(schema)).toEqual({ must: false, on: true })
    input('/must').checked = true
    expect(type('/may', '1')).toEqual({ must: true, on: true, may: false })
  })

  it('nest, and leave out an object of which nothing was given', () => {
    const schema: Schema = { properties: { meta: { type: 'object', properties: { channel: { type: 'integer' }, vin: { type: 'string' } } } } }
    expect(show(schema)).toEqual({})
    expect(type('/meta/channel', '3')).toEqual({ meta: { channel: 3 } })
    expect(show(schema, { meta: { channel: 1, other: 'kept' }, more: true })).toEqual({ meta: { channel: 1, other: 'kept' }, more: true })
    expect(show({ ...schema, additionalProperties: false }, { more: true })).toEqual({})
  })

  it('hold lists that grow and shrink', () => {
    const schema: Schema = { properties: { channels: { type: 'array', title: 'Cameras', items: { type: 'integer', minimum: 1 } } } }
    expect(show(schema, { channels: [1, 2] })).toEqual({ channels: [1, 2] })
    const press = (text: string): void => [...document.querySelectorAll('button')].find((button) => button.textContent === text)?.click()
    press('Add')
    expect(type('/channels/2', '7')).toEqual({ channels: [1, 2, 7] })
    press('×')
    expect(frame.last('data')).toEqual({ channels: [2, 7] })
    press('×')
    press('×')
    expect(frame.last('data')).toEqual({})
  })

  it('edit what has no form as JSON', () => {
    const schema: Schema = { properties: { params: { type: 'object' } } }
    expect(show(schema, { params: { case: 'A1' } })).toEqual({ params: { case: 'A1' } })
    expect(type('/params', '{"case": 2}')).toEqual({ params: { case: 2 } })
    expect(frame.form()).toBe('ok')
    type('/params', '{"case"')
    expect(frame.form()).toBe('params must be an object')
    expect(type('/params', '')).toEqual({})
  })

  it('offer variants, begin with the one the data fits, and carry over what fits another', () => {
    const variant = (kind: string, more: Record<string, Schema>): Schema => ({
      type: 'object', title: kind, required: ['type'], additionalProperties: false,
      properties: { type: { type: 'string', enum: [kind] }, ...more },
    })
    const schema: Schema = { anyOf: [
      variant('video', { name: { type: 'string' }, channel: { type: 'integer' } }),
      variant('tacho', { name: { type: 'string' }, vin: { type: 'string' } }),
    ] }
    expect(show(schema, { type: 'tacho', vin: 'W1' })).toEqual({ type: 'tacho', vin: 'W1' })
    type('/name', 'card')
    const select = document.querySelector('select') as HTMLSelectElement
    select.value = '0'
    select.dispatchEvent(new Event('change', { bubbles: true }))
    expect(frame.last('data')).toEqual({ type: 'video', name: 'card' })
    expect(frame.form()).toBe('ok')
  })

  it('end where a schema holds itself', () => {
    const schema: Schema = { $ref: '#/$defs/tree', $defs: { tree: { type: 'object', properties: { leaf: { type: 'string' }, child: { $ref: '#/$defs/tree' } } } } }
    expect(show(schema)).toEqual({})
    expect(document.querySelectorAll('textarea.json')).toHaveLength(1)
  })
})
