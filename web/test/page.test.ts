// @vitest-environment happy-dom
import { readFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { Links } from '../src/watch/link'
import { Page } from '../src/watch/page'

// A real server answers with what it is told, so that the page's own fetch is used.
let server: Server
let status = 200
let body: unknown = {}
let links: Links

beforeEach(async () => {
  document.body.innerHTML = /<body>(.*)<\/body>/s.exec(readFileSync('watch.html', 'utf8'))?.[1] ?? ''
  server = createServer((request, response) => {
    const preflight = request.method === 'OPTIONS'
    response.writeHead(preflight ? 204 : status, {
      'content-type': 'application/json',
      'access-control-allow-origin': '*',
    })
    response.end(preflight ? '' : JSON.stringify(body))
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}/media/X`
  links = { uuid: 'X', file: base, about: `${base}?preview=json`, poster: `${base}?preview=jpeg`, lowLatency: `${base}/ll.m3u8` }
})

afterEach(() => new Promise((done) => server.close(done)))

const text = (id: string): string => document.getElementById(id)?.textContent ?? ''

describe('the page', () => {
  it('shows a clip with its facts, poster and download', async () => {
    status = 200
    body = {
      name: 'clip <1>.mp4', mime: 'video/mp4', size: 1000, created: 1760000000,
      meta: { type: 'video', channel: 3, duration: 5 }, preview: { jpeg: 'AA==' },
    }
    await new Page(links).open()
    const video = document.querySelector('video')
    expect(video?.getAttribute('src')).toBe(links.file)
    expect(video?.poster).toContain('preview=jpeg')
    expect(text('name')).toBe('clip <1>.mp4')
    expect(text('facts')).toContain('Camera 3')
    expect(document.querySelector('#actions a')?.getAttribute('download')).toBe('clip <1>.mp4')
  })

  it('offers only a download for what no browser shows', async () => {
    status = 200
    body = { name: 'C_1.ddd', mime: 'application/octet-stream', size: 9, created: 1, meta: { type: 'tacho' } }
    await new Page(links).open()
    expect(document.querySelector('#stage')?.children.length).toBe(0)
    expect(text('actions')).toBe('Download this file')
  })

  it.each([[404, 'not here any more'], [401, 'not shared']])('says what status %d means', async (answer, said) => {
    status = answer
    body = { errors: [] }
    await new Page(links).open()
    expect(text('status')).toContain(said)
  })

  it('says that a link is not complete', async () => {
    await new Page(undefined).open()
    expect(text('status')).toContain('not complete')
  })

  it('tries again when the server does not answer', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout'] })
    status = 503
    await new Page(links).open()
    expect(text('status')).toContain('cannot be reached')
    expect(vi.getTimerCount()).toBe(1)
    vi.useRealTimers()
  })
})
