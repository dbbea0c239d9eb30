import { byId } from '../shared/dom'

const TOKEN = /^(?:FlespiToken |Bearer )?([A-Za-z0-9]{64})$/
const CLOSE_MS = 800

/**
 * Asks for a token, checks it, and hands it to the window that opened this one (rest-api.md 3.4).
 *
 * The token goes to one origin only, and the person who types it sees which: that of the page that opened the window,
 * as the browser says (the referrer), or one typed here where the browser was told not to say.
 */
export class Login {
  constructor(
    private readonly own: Window,
    private readonly referrer: string,
  ) {}

  /** Show who asks, and wait for the token. */
  start(): void {
    if (!this.own.opener) {
      return void (byId('who').textContent = 'An application opens this page to be handed a token. Nothing opened it.')
    }
    const origin = originOf(this.referrer)
    byId('who').textContent = origin
      ? `${origin} asks for a token of this server.`
      : 'An application that does not say its address asks for a token of this server. Type the address you know it by.'
    byId('send').textContent = origin ? `Log in to ${origin}` : 'Log in'
    byId('where-row').hidden = origin !== undefined
    this.where.required = origin === undefined
    const form = byId('form')
    form.hidden = false
    form.addEventListener('submit', (event) => {
      event.preventDefault()
      void this.submit(origin ?? originOf(this.where.value))
    })
  }

  private async submit(origin: string | undefined): Promise<void> {
    const key = TOKEN.exec(this.token.value.trim())?.[1]
    if (origin === undefined) return this.tell('The address of the application looks like https://app.example.com.')
    if (key === undefined) return this.tell('A token has 64 letters and digits.')
    this.tell('Looking at the token…')
    this.send.disabled = true
    try {
      const refused = await this.refusal(key)
      if (refused) return this.tell(refused)
      const { result } = await (await fetch('/auth/regions')).json() as { result: unknown[] }
      const said = JSON.stringify({ token: key, region: result[0] })
      ;(this.own.opener as Window).postMessage(`FlespiLogin|token:${said}`, origin)
      this.token.value = ''
      byId('form').hidden = true
      this.tell('Logged in. This window can be closed.')
      setTimeout(() => this.own.close(), CLOSE_MS)
    } catch {
      this.tell('The server does not answer. Try again.')
    } finally {
      this.send.disabled = false
    }
  }

  /** Why the server does not take the token; empty if it does. */
  private async refusal(key: string): Promise<string> {
    const answer = await fetch('/auth/info', { headers: { Authorization: `FlespiToken ${key}` } })
    if (answer.ok) return ''
    const { errors } = await answer.json() as { errors: { reason: string }[] }
    return `The server refuses this token: ${errors[0]?.reason ?? answer.status}.`
  }

  private tell(text: string): void {
    byId('status').textContent = text
  }

  private get token(): HTMLInputElement {
    return byId('token') as HTMLInputElement
  }

  private get where(): HTMLInputElement {
    return byId('where') as HTMLInputElement
  }

  private get send(): HTMLButtonElement {
    return byId('send') as HTMLButtonElement
  }
}

/** The origin of an address, undefined where there is none that a message can be sent to. */
export function originOf(address: string): string | undefined {
  try {
    const { origin, protocol } = new URL(address)
    return protocol === 'https:' || protocol === 'http:' ? origin : undefined
  } catch {
    return undefined
  }
}
