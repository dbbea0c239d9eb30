import { byId, el } from '../shared/dom'
import { facts, kindOf, type About } from './about'
import type { Links } from './link'
import { playLive, type LivePlayer } from './live'
import { final, fromHttp, pause, words, type Happening } from './status'

const FAR_BEHIND_S = 8
const EVERY_MS = 1000

/** The page of one link: asks what it is, shows it, and says what happens. */
export class Page {
  private live = false
  private happening: Happening = 'loading'
  private tries = 0

  constructor(private readonly links: Links | undefined) {}

  async open(): Promise<void> {
    if (!this.links) return this.tell('invalid')
    this.tell('loading')
    let answer: Response
    try {
      answer = await fetch(this.links.about)
    } catch {
      return this.again()
    }
    if (answer.ok) return this.show(this.links, (await answer.json()) as About)
    const meaning = fromHttp(answer.status)
    return meaning === 'unreachable' ? this.again() : this.tell(meaning)
  }

  private again(): void {
    this.tries += 1
    this.tell('unreachable')
    setTimeout(() => void this.open(), pause(this.tries) * 1000)
  }

  private show(links: Links, about: About): void {
    const kind = kindOf(about)
    this.live = kind === 'live'
    document.title = about.name
    byId('name').textContent = about.name
    byId('facts').textContent = facts(about)
    if (kind === 'live') this.showLive(links, about)
    else if (kind === 'video') this.showVideo(links, about)
    else if (kind === 'image') this.place(el('img', { src: links.file, alt: about.name }))
    else if (kind === 'audio') this.place(el('audio', { src: links.file, controls: '' }))
    if (kind !== 'live') this.offerDownload(links, about, kind === 'other')
    if (kind !== 'live' && kind !== 'video') this.tell('shown')
  }

  private showVideo(links: Links, about: About): void {
    const video = el('video', { controls: '', playsinline: '', preload: 'metadata', src: links.file })
    if (about.preview?.jpeg) video.poster = links.poster
    video.addEventListener('loadedmetadata', () => this.tell('playing'))
    video.addEventListener('playing', () => this.tell('playing'))
    video.addEventListener('waiting', () => this.tell('stalled'))
    video.addEventListener('error', () => this.tell(video.error?.code === 2 ? 'reconnecting' : 'unplayable'))
    this.place(video)
  }

  private showLive(links: Links, about: About): void {
    const video = el('video', { controls: '', playsinline: '', autoplay: '', muted: '' })
    video.muted = true
    if (about.preview?.jpeg) video.poster = `data:image/jpeg;base64,${about.preview.jpeg}`
    this.place(video)
    const player = playLive(video, links, (happening) => this.tell(happening))
    const jump = el('button', { type: 'button', hidden: '' }, 'Jump to live')
    jump.addEventListener('click', () => player.jump())
    byId('actions').replaceChildren(jump)
    const timer = setInterval(() => {
      if (final(this.happening)) {
        clearInterval(timer)
        jump.hidden = true
      } else this.tick(player, jump, about)
    }, EVERY_MS)
  }

  private tick(player: LivePlayer, jump: HTMLButtonElement, about: About): void {
    const behind = player.behind()
    jump.hidden = behind === undefined || behind < FAR_BEHIND_S
    const shown = player.shown()
    if (this.happening === 'playing' && shown) {
      byId('status').textContent = `Live · ${shown.toLocaleTimeString()}`
    }
    byId('facts').textContent = facts(about)
  }

  private offerDownload(links: Links, about: About, only: boolean): void {
    const label = only ? 'Download this file' : 'Download'
    byId('actions').replaceChildren(el('a', { href: links.file, download: about.name }, label))
  }

  private place(shown: HTMLElement): void {
    byId('stage').replaceChildren(shown)
  }

  private tell(happening: Happening): void {
    if (final(this.happening)) return
    this.happening = happening
    const status = byId('status')
    status.textContent = words(happening, this.live)
    status.dataset.happening = happening
  }
}
