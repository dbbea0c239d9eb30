import { isObject, type Schema } from './schema'

/** What the page around the form asks for. */
export interface Command {
  schema?: Schema
  data?: unknown
}

const COMMAND = 'FormBox|cmd:'
const LONGEST = 1_000_000

/**
 * The talk with the page around the form (rest-api.md 9.6): texts by postMessage.
 *
 * Only the frame's own parent is listened to, and what was typed goes only to the origin that asked for it.
 */
export class Channel {
  private origin: string | undefined

  constructor(
    private readonly frame: Window,
    private readonly onCommand: (command: Command) => void,
  ) {
    frame.addEventListener('message', (event) => this.take(event))
  }

  /** Say that commands are listened to; tells nothing, so anybody may know. */
  ready(): void {
    this.frame.parent.postMessage('FormBox|state:{"ready":true}', '*')
  }

  /** Say a state: `{"form":"ok"}`, `{"form":"what is wrong"}`, `{"resize":{"height":420}}`. */
  state(state: Record<string, unknown>): void {
    this.say(`FormBox|state:${JSON.stringify(state)}`)
  }

  /** Say the present value. */
  data(value: unknown): void {
    this.say(`FormBox|data:${JSON.stringify(value)}`)
  }

  private say(text: string): void {
    // A page from a file or a sandbox has the origin "null", which cannot be addressed.
    if (this.origin !== undefined) this.frame.parent.postMessage(text, this.origin === 'null' ? '*' : this.origin)
  }

  private take(event: MessageEvent): void {
    const { data, source, origin } = event
    if (source !== this.frame.parent || typeof data !== 'string') return
    if (!data.startsWith(COMMAND) || data.length > LONGEST) return
    let said: unknown
    try {
      said = JSON.parse(data.slice(COMMAND.length))
    } catch {
      return
    }
    if (!isObject(said)) return
    this.origin = origin
    this.onCommand({ ...(isObject(said.schema) && { schema: said.schema }), ...('data' in said && { data: said.data }) })
  }
}
