import mqtt from 'mqtt'

import { byId } from '../shared/dom'
import { Fleet, SUBSCRIPTIONS } from './fleet'
import { Rows } from './rows'

const KEY = 'wayframe.token'

/** The token of this tab: from the address (`#token=…`, taken out of it at once), or typed here before. */
function knownToken(): string {
  const said = new URLSearchParams(location.hash.slice(1)).get('token')
  if (said) {
    sessionStorage.setItem(KEY, said)
    history.replaceState(null, '', location.pathname)
  }
  return sessionStorage.getItem(KEY) ?? ''
}

/** MQTT over WebSocket on this page's own origin, secure where the page is. */
function watch(token: string): void {
  const status = byId('status')
  const fleet = new Fleet()
  const rows = new Rows(byId('rows'), fleet)
  const scheme = location.protocol === 'https:' ? 'wss' : 'ws'
  const client = mqtt.connect(`${scheme}://${location.host}/mqtt`, {
    protocolVersion: 5,
    clean: true,
    keepalive: 60,
    reconnectPeriod: 3000,
    timerVariant: 'native', // its own would run in a worker made of text, which the page's policy forbids
    username: `FlespiToken ${token}`,
  })
  byId('form').hidden = true
  byId('table').hidden = false
  status.textContent = 'Connecting…'
  client.on('connect', () => {
    status.textContent = 'Live'
    client.subscribe(SUBSCRIPTIONS, { qos: 0 })
  })
  client.on('message', (topic, payload, packet) => {
    const stamp = packet.properties?.userProperties?.['timestamp']
    const id = fleet.take(topic, payload.toString(), stamp === undefined ? undefined : Number(stamp))
    if (id !== undefined) rows.touch(id)
  })
  let refused = false
  client.on('close', () => {
    if (!refused) status.textContent = 'Not connected; trying again…'
  })
  client.on('error', (error) => {
    if (!('code' in error)) return
    refused = true
    client.end(true)
    sessionStorage.removeItem(KEY)
    byId('table').hidden = true
    ask(`The server refuses this token: ${error.message}.`)
  })
}

function ask(why: string): void {
  const form = byId('form')
  byId('status').textContent = why
  form.hidden = false
  form.addEventListener('submit', (event) => {
    event.preventDefault()
    const token = (byId('token') as HTMLInputElement).value.trim()
    sessionStorage.setItem(KEY, token)
    watch(token)
  }, { once: true })
}

const token = knownToken()
if (token) watch(token)
else ask('')
