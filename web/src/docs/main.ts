import { byId, el } from '../shared/dom'
import { brief, byTag, named, type Description, type Entry, type Schema } from './openapi'

async function show(): Promise<void> {
  const page = byId('docs')
  try {
    const answer = await fetch('/openapi.json')
    if (!answer.ok) throw new Error(`the server answered ${answer.status}`)
    page.replaceChildren(...render((await answer.json()) as Description))
  } catch (error) {
    page.replaceChildren(el('p', {}, `The description could not be loaded: ${String(error)}`))
  }
}

function render(description: Description): Node[] {
  const groups = byTag(description)
  const index = el('nav', {}, ...[...groups.keys()].map((tag) => el('a', { href: `#${tag}` }, tag)))
  const head = el(
    'header',
    {},
    el('h1', {}, `${description.info.title} API`),
    el('p', {}, `Version ${description.info.version}. ${description.info.description ?? ''} `),
    el('p', {}, 'Send ', el('code', {}, 'Authorization: FlespiToken KEY'), '. The same as a file: ',
      el('a', { href: '/openapi.json' }, 'openapi.json'), '.'),
    index,
  )
  const sections = [...groups].map(([tag, entries]) =>
    el('section', { id: tag }, el('h2', {}, tag), ...entries.map((entry) => operation(description, entry))),
  )
  return [head, ...sections]
}

function operation(description: Description, { method, path, operation }: Entry): HTMLElement {
  const title = el('summary', {}, el('b', { 'data-method': method }, method), el('code', {}, path),
    el('span', {}, operation.summary))
  const parts: HTMLElement[] = []
  if (operation.parameters?.length) {
    const rows = operation.parameters.map((parameter) => {
      const schema = parameter.schema ?? Object.values(parameter.content ?? {})[0]?.schema
      return row(parameter.name, `${parameter.in}, ${brief(schema)}`, parameter.description ?? '')
    })
    parts.push(el('h3', {}, 'Parameters'), table(rows))
  }
  for (const [type, { schema }] of Object.entries(operation.requestBody?.content ?? {})) {
    parts.push(el('h3', {}, `Body (${type}): ${brief(schema)}`), ...shapes(description, schema))
  }
  const rows = Object.entries(operation.responses).map(([status, answer]) => row(status, '', answer.description))
  parts.push(el('h3', {}, 'Answers'), table(rows))
  parts.push(...shapes(description, operation.responses['200']?.content?.['application/json']?.schema))
  return el('details', {}, title, ...parts)
}

function shapes(description: Description, schema: Schema | undefined): HTMLElement[] {
  return named(schema).flatMap((name) => {
    const shape = description.components.schemas[name]
    if (!shape) return []
    const variants = shape.anyOf ?? [shape]
    return variants.flatMap((variant) => [
      el('h4', {}, variant === shape ? name : `${name}: ${variant.title ?? ''}`),
      ...(shape.description ? [el('p', {}, shape.description)] : []),
      table(
        Object.entries(variant.properties ?? {}).map(([key, value]) =>
          row(key, brief(value), value.description ?? value.title ?? ''),
        ),
      ),
    ])
  })
}

function table(rows: HTMLElement[]): HTMLElement {
  return el('table', {}, el('tbody', {}, ...rows))
}

function row(name: string, type: string, text: string): HTMLElement {
  return el('tr', {}, el('td', {}, el('code', {}, name)), el('td', {}, type), el('td', {}, text))
}

void show()
