import { el } from '../shared/dom'
import { Channel, type Command } from './channel'
import { problems, type Problem } from './check'
import { fieldOf, type Field } from './fields'
import type { Schema } from './schema'

/** The form of a schema in a frame: shows it, checks what is typed, and keeps the page around it informed. */
export class FormBox {
  private readonly channel: Channel
  private schema: Schema = {}
  private field: Field | undefined

  constructor(
    private readonly frame: Window,
    private readonly place: HTMLElement,
  ) {
    this.channel = new Channel(frame, (command) => this.open(command))
    // A change of a choice comes as both events; telling twice does no harm.
    for (const kind of ['input', 'change']) place.addEventListener(kind, () => this.tell())
  }

  /** Begin: the page around may send its schema now. */
  start(): void {
    if (this.frame.parent === this.frame) {
      this.place.replaceChildren(el('p', {}, 'This form is shown inside an application.'))
      return
    }
    this.channel.ready()
  }

  /** Say how much room the form takes; called whenever that changes. */
  resized(): void {
    if (this.field) this.channel.state({ resize: { height: Math.ceil(this.place.getBoundingClientRect().height) } })
  }

  private open(command: Command): void {
    const value = command.data ?? (command.schema ? undefined : this.field?.value())
    if (command.schema) this.schema = command.schema
    this.field = fieldOf(this.schema, value)
    this.place.replaceChildren(this.field.element)
    this.tell()
    this.resized()
  }

  /** The value as it stands, and whether it may be sent. */
  private tell(): void {
    if (!this.field) return
    const value = this.field.value() ?? {}
    const wrong = problems(this.schema, this.schema, value)
    this.mark(wrong)
    this.channel.data(value)
    const [first] = wrong
    this.channel.state({ form: first ? `${first.path.slice(1) || 'the form'} ${first.text}` : 'ok' })
  }

  private mark(wrong: Problem[]): void {
    const texts = new Map(wrong.map((problem) => [problem.path, problem.text]))
    for (const element of this.place.querySelectorAll<HTMLElement>('.field')) {
      const text = texts.get(element.dataset.path ?? '') ?? ''
      const note = element.querySelector('.problem')
      if (note) note.textContent = text
      element.querySelector('input, select, textarea')?.toggleAttribute('aria-invalid', text !== '')
    }
  }
}
