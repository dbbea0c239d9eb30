// @vitest-environment happy-dom
import { readFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { Login, originOf } from '../src/login/login'

const KEY = 'a1'.repeat(32)
const REGION = { name: 'local', rest: 'https://host:9005' }

// A real server answers, so that the page's own fetch is used.
let server: Server
let told: { text: string; to: string }[]
let closed: boolean
let asked: string[]

beforeEach(async () => {
  document.body.innerHTML = /<body>(.*)<\/body>/s.exec(readFileSync('login.html', 'utf8'))?.[1] ?? ''
  told = []
  closed = false
  asked = []
  server = createServer((request, response) => {
    asked.push(`${request.method} ${request.url} ${request.headers.authorization ?? ''}`.trim())
    const known = request.headers.authorization === `FlespiToken ${KEY}` || request.url !== '/auth/info'
    response.writeHead(known ? 200 : 401, { 'content-type': 'application/json' })
    response.end(JSON.stringify(known ? { result: [REGION] } : { errors: [{ code: 401, reason: 'no such token' }] }))
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  const happy = (window as unknown as { happyDOM: { setURL(url: string): void } }).happyDOM
  happy.setURL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/login/`)
})

afterEach(() => new Promise((done) => server.close(done)))

function open(referrer: string, opener = true): void {
  const own = {
    opener: opener ? { postMessage: (text: string, to: string) => told.push({ text, to }) } : null,
    close: () => (closed = true),
  }
  new Login(own as unknown as Window, referrer).start()
}

const text = (id: string): string => document.getElementById(id)?.textContent ?? ''
const field = (id: string): HTMLInputElement => document.getElementById(id) as HTMLInputElement

async function submit(token: string): Promise<void> {
  field('token').value = token
  document.querySelector('form')?.dispatchEvent(new Event('submit', { cancelable: true }))
  await vi.waitFor(() => expect(text('status')).not.toMatch(/^$|Looking/))
}

describe('the login window', () => {
  it('hands a good token and the region to the page that opened it, and closes', async () => {
    open('https://app.example/path?x=1')
    expect(text('send')).toBe('Log in to https://app.example')
    await submit(` FlespiToken ${KEY} `)
    expect(told).toEqual([{ text: `FlespiLogin|token:${JSON.stringify({ token: KEY, region: REGION })}`, to: 'https://app.example' }])
    expect(field('token').value).toBe('')
    await vi.waitFor(() => expect(closed).toBe(true), 3000)
  })

  it('says why a token is refused, and hands over nothing', async () => {
    open('https://app.example/')
    await submit('b2'.repeat(32))
    expect(text('status')).toBe('The server refuses this token: no such token.')
    expect(told).toEqual([])
  })

  it.each(['short', `${KEY}!`, ''])('asks nobody about %j, which is no token', async (token) => {
    open('https://app.example/')
    await submit(token)
    expect(text('status')).toContain('64 letters and digits')
    expect(asked).toEqual([])
  })

  it('asks for the address where the browser was told not to say it', async () => {
    open('')
    expect(document.getElementById('where-row')?.hidden).toBe(false)
    await submit(KEY)
    expect(told).toEqual([])
    field('where').value = 'https://other.example/app'
    await submit(KEY)
    await vi.waitFor(() => expect(told.map(({ to }) => to)).toEqual(['https://other.example']))
  })

  it('says that nothing opened it', () => {
    open('https://app.example/', false)
    expect(text('who')).toContain('Nothing opened it')
    expect(document.querySelector('form')?.hidden).toBe(true)
  })

  it('says that the server does not answer', async () => {
    open('https://app.example/')
    await new Promise((done) => server.close(done))
    await submit(KEY)
    expect(text('status')).toContain('does not answer')
    server = createServer().listen(0)
  })
})

describe('an origin', () => {
  it.each([
    ['https://app.example:8443/x', 'https://app.example:8443'],
    ['http://localhost:3000', 'http://localhost:3000'],
    ['file:///etc/passwd', undefined],
    ['data:text/html,x', undefined],
    ['app.example', undefined],
  ])('of %s is %s', (address, origin) => expect(originOf(address)).toBe(origin))
})
