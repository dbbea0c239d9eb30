// A client of the contract, as rest-api.md 11 and 12 list what flespi's web applications do: fetch and MQTT.js, nothing
// of our own. It knows a host name and a token; everything else it learns.

/** One page's client: where the server is, and what was heard from it. */
class Client {
  constructor(token) {
    this.token = token
    this.heard = []
    this.filters = []
    this.ended = []
    this.granted = {}
  }

  /** One line for who looks at the page. */
  tell(text) {
    const lines = document.querySelector('#calls')
    lines.append(Object.assign(document.createElement('li'), { textContent: text }))
    lines.scrollTop = lines.scrollHeight
  }

  /** What the page shows next. */
  title(text) {
    document.querySelector('#what').textContent = text
  }

  /** Step 1: the addresses, from the TLS port of the page's own host. */
  async regions(origin) {
    const answer = await fetch(`${origin}/auth/regions`)
    this.tell(`GET ${origin}/auth/regions → ${answer.status}`)
    const { result } = await answer.json()
    this.region = result.find((region) => region.default) ?? result[0]
    return this.region
  }

  /** Steps 2 and 3: MQTT over secure WebSocket; resolves with what CONNACK said of the token. */
  connect(name) {
    const clientId = `${name}-1.0-${Math.floor(Math.random() * 2 ** 32).toString(16).padStart(8, '0')}`
    this.mqtt = mqtt.connect(`wss://${this.region['mqtt-ws']}/`, {
      protocolVersion: 5, clean: true, keepalive: 240, clientId, username: `FlespiToken ${this.token}`,
      resubscribe: false, reconnectPeriod: 0, connectTimeout: 15000,
    })
    this.mqtt.on('message', (topic, payload, packet) => this.take(topic, payload.toString(), packet))
    for (const kind of ['close', 'disconnect', 'offline', 'error']) {
      this.mqtt.on(kind, (said) => this.ended.push(`${kind} ${said?.reasonCode ?? said?.message ?? ''}`))
    }
    return new Promise((done, failed) => {
      this.mqtt.on('connect', (connack) => {
        this.tell(`CONNECT ${clientId} → ${connack.reasonCode}`)
        done(JSON.parse(connack.properties.userProperties.token))
      })
      this.mqtt.on('error', (error) => {
        this.tell(`CONNECT ${clientId} → ${error.code}`)
        failed(new Error(`${error.message} (${error.code})`))
      })
      this.mqtt.on('close', () => failed(new Error('closed')))
    })
  }

  /** Messages find their way by subscription identifier alone. */
  take(topic, text, packet) {
    const { subscriptionIdentifier: ids = [], userProperties: said = {} } = packet.properties ?? {}
    for (const id of [ids].flat()) {
      this.heard.push({ id, topic, text, retain: packet.retain, qos: packet.qos, timestamp: Number(said.timestamp), cid: said.cid })
    }
  }

  /** One SUBSCRIBE packet with an identifier of its own; returns the identifier. `granted` keeps the answer. */
  subscribe(filter, options = {}) {
    const subscriptionIdentifier = this.filters.push(filter)
    return new Promise((done, failed) => {
      this.mqtt.subscribe(filter, { qos: 0, nl: false, rap: false, rh: 0, ...options, properties: { subscriptionIdentifier } },
        (error, granted) => {
          if (error) return failed(error)
          this.granted[filter] = granted[0].qos
          this.tell(`SUBSCRIBE ${subscriptionIdentifier} ${filter} → ${granted[0].qos}`)
          return done(subscriptionIdentifier)
        })
    })
  }

  unsubscribe(filter) {
    return this.mqtt.unsubscribeAsync(filter)
  }

  publish(topic, text, options) {
    this.tell(`PUBLISH ${topic} ${text}`)
    return this.mqtt.publishAsync(topic, text, options)
  }

  /** A REST call; the body of a change is JSON text under a wrong label, as MediaBox sends it. */
  async rest(method, path, body) {
    const answer = await fetch(`${this.region.rest}${path}`, {
      method,
      headers: {
        Authorization: `FlespiToken ${this.token}`,
        'x-flespi-app': 'client-test',
        ...(body === undefined ? {} : { 'Content-Type': 'application/x-www-form-urlencoded' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    this.tell(`${method} ${decodeURIComponent(path)} ${body === undefined ? '' : JSON.stringify(body)} → ${answer.status}`)
    return { status: answer.status, ...(await answer.json()) }
  }

  get(path, data) {
    return this.rest('GET', data === undefined ? path : `${path}?data=${encodeURIComponent(JSON.stringify(data))}`)
  }

  async upload(device, bytes, name, data) {
    const form = new FormData()
    form.append('file', new Blob([Uint8Array.from(atob(bytes), (letter) => letter.charCodeAt(0))]), name)
    form.append('data', JSON.stringify(data))
    const answer = await fetch(`${this.region.rest}/gw/devices/${device}/media`, {
      method: 'POST', headers: { Authorization: `FlespiToken ${this.token}` }, body: form,
    })
    this.tell(`POST /gw/devices/${device}/media ${name} ${JSON.stringify(data)} → ${answer.status}`)
    return answer.json()
  }

  link(uuid) {
    return `${this.region.media}/${uuid}`
  }

  /** A fetch of a link without a token: status, headers, number of bytes and the beginning. */
  async fetchLink(uuid, query = '', headers = {}) {
    const answer = await fetch(this.link(uuid) + query, { headers })
    this.tell(`GET ${this.link(uuid)}${query} ${headers.Range ?? ''} → ${answer.status}`)
    const bytes = new Uint8Array(await answer.arrayBuffer())
    return {
      status: answer.status, headers: Object.fromEntries(answer.headers), length: bytes.length,
      begin: String.fromCharCode(...bytes.slice(0, 16)),
    }
  }

  // --- what the page shows ------------------------------------------------------------------------------------

  /** A picture of a file, or with an empty query the picture itself; resolves with its size once it is decoded. */
  async image(uuid, query = '?preview=jpeg') {
    const image = new Image()
    image.src = this.link(uuid) + query
    document.querySelector('main').append(image)
    await image.decode()
    this.tell(`img ${image.src} → ${image.naturalWidth}×${image.naturalHeight}`)
    return [image.naturalWidth, image.naturalHeight]
  }

  /** A text or PDF, in a frame; resolves once it is loaded. */
  frame(uuid) {
    const frame = Object.assign(document.createElement('iframe'), { src: this.link(uuid), width: 480, height: 320 })
    return new Promise((done) => {
      frame.onload = () => done(this.tell(`iframe ${frame.src}`))
      document.querySelector('main').append(frame)
    })
  }

  /** The newest files, each with its picture where there is one. */
  async files(files) {
    document.querySelector('main').replaceChildren(...files.slice(-16).reverse().map((file) => {
      const figure = document.createElement('figure')
      const shown = ['image', 'video'].includes(file.meta.type)
      const picture = shown ? Object.assign(new Image(), { src: `${this.link(file.uuid)}?preview=jpeg` }) : document.createElement('div')
      const created = new Date(file.created * 1000).toISOString().slice(0, 19)
      figure.append(picture, `${file.protected ? '🔒 ' : ''}${file.name} · camera ${file.meta.channel} · ${created}`)
      return figure
    }))
    await Promise.allSettled([...document.querySelectorAll('figure > img')].map((image) => image.decode()))
  }

  /** The answer of video_timeline: a line a camera, with what is recorded. */
  timeline(spans, from, to) {
    const lines = new Map()
    for (const { channel, begin, end } of spans) {
      if (!lines.has(channel)) {
        const line = Object.assign(document.createElement('div'), { className: 'camera' })
        line.append(Object.assign(document.createElement('b'), { textContent: `Camera ${channel}` }))
        lines.set(channel, line)
      }
      const bar = document.createElement('span')
      const place = (time) => (Math.min(Math.max(time, from), to) - from) / (to - from) * 100
      bar.style = `left: ${place(begin)}%; width: ${place(end) - place(begin)}%`
      lines.get(channel).append(bar)
    }
    document.querySelector('main').replaceChildren(...lines.values())
  }

  video(id) {
    const video = document.createElement('video')
    Object.assign(video, { id, muted: true, autoplay: true, playsInline: true, width: 320, controls: true })
    document.querySelector('main').append(video)
    return video
  }

  /** A clip, its type forced to video/mp4 as MediaBox does. */
  play(uuid, id) {
    const video = this.video(id)
    video.poster = `${this.link(uuid)}?preview=jpeg`
    video.append(Object.assign(document.createElement('source'), { src: this.link(uuid), type: 'video/mp4' }))
    this.tell(`video ${this.link(uuid)}`)
  }

  /** A camera of the wall. */
  wall(uuid, id) {
    const hls = new Hls({ lowLatencyMode: false })
    hls.on(Hls.Events.ERROR, (_event, data) => { if (data.fatal) console.error(data.details) })
    this.tell(`hls ${this.link(uuid)}`)
    hls.loadSource(this.link(uuid))
    hls.attachMedia(this.video(id))
    this.walls = [...(this.walls ?? []), hls]
  }

  /** Leave the wall: nobody fetches playlists any more. */
  leave() {
    for (const hls of this.walls ?? []) hls.destroy()
    this.walls = []
    document.querySelector('main').replaceChildren()
  }

  /** FLV comes without end: the first bytes are enough to see that it flows. */
  async flv(uuid) {
    const reader = (await fetch(this.link(uuid))).body.getReader()
    let bytes = []
    while (bytes.length < 20000) {
      const { value, done } = await reader.read()
      if (done) break
      bytes = [...bytes, ...value]
    }
    await reader.cancel()
    return { begin: String.fromCharCode(...bytes.slice(0, 3)), length: bytes.length }
  }

  /** The form of a command or upload: resolves when it may be sent, with what it said last (rest-api.md 9.6). */
  form(schema, data) {
    this.leave()
    this.tell(`iframe ${this.region.rest}/formbox`)
    const frame = document.createElement('iframe')
    frame.style = 'width: 640px; height: 400px'
    frame.src = `${this.region.rest}/formbox`
    document.querySelector('main').append(frame)
    return new Promise((done) => {
      let said
      const listen = ({ data: text, source }) => {
        if (source !== frame.contentWindow) return
        const [kind, ...rest] = text.slice('FormBox|'.length).split(':')
        const value = JSON.parse(rest.join(':'))
        if (kind === 'data') said = value
        else if (value.resize) frame.style.height = `${value.resize.height}px`
        else if (value.ready) {
          frame.contentWindow.postMessage(`FormBox|cmd:${JSON.stringify({ applybtn: '', schema, data })}`, '*')
        } else if (value.form === 'ok' && said !== undefined) {
          removeEventListener('message', listen)
          done(said)
        }
      }
      addEventListener('message', listen)
    })
  }
}
