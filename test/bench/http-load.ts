/**
 * The HTTP load where there is no C compiler: the same as http-client.c and http-provider.c in one program, whose heads have
 * its usage (`provide SOCKET` is the provider) and what it serves. Slower, so its figures compare with its own only.
 */
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { Checked, markPositions, patterned } from './blocks.ts'
import { median } from './statistics.ts'

const MIB = 1024 * 1024
const CHUNK_BYTES = 64 * 1024
const PATIENCE_MS = 20_000
const HEAD_END = '\r\n\r\n'

const fail = (why: string): never => {
  process.stderr.write(`${why}\n`)
  process.exit(1)
}

const smallBody = (clients: number, roles: number): string =>
  `{"status":"ok","uptime":86400,"client":${clients},"role":${roles},"interfaces":["eth0","wlan0"]}`

const digits = (value: number): string => `${value}`.padStart(20, '0')

/** Always of the same length. */
const verdictBody = ({ position, garbled }: Pick<Checked, 'position' | 'garbled'>): string =>
  `{"arrived":${digits(position)},"garbled":${digits(garbled)}}`

const VERDICT_BYTES = verdictBody({ position: 0, garbled: 0 }).length

/** Bytes as they come, taken by the piece. */
class Line {
  readonly socket: Socket
  #chunks: Buffer[] = []
  #wake: (() => void) | undefined
  #ended = false

  constructor(socket: Socket) {
    this.socket = socket
    socket.on('data', (chunk: Buffer) => {
      this.#chunks.push(chunk)
      this.#told()
      if (this.#chunks.length > 4) socket.pause()
    })
    socket.on('close', () => {
      this.#ended = true
      this.#told()
    })
    socket.on('end', () => {
      this.#ended = true
      this.#told()
    })
    socket.on('error', () => socket.destroy())
  }

  static async to(path: string): Promise<Line> {
    const socket = connect({ path })
    await once(socket, 'connect').catch((error: unknown) => fail(`${error}`))
    socket.setTimeout(PATIENCE_MS, () => fail('nothing moved any more'))
    return new Line(socket)
  }

  get isEmpty(): boolean {
    return this.#chunks.length === 0
  }

  #told(): void {
    this.#wake?.()
    this.#wake = undefined
  }

  /** What is there next; `undefined` at the end. */
  async some(): Promise<Buffer | undefined> {
    while (this.#chunks.length === 0 && !this.#ended) {
      this.socket.resume()
      await new Promise<void>(resolve => {
        this.#wake = resolve
      })
    }
    return this.#chunks.shift()
  }

  /** Up to this, and this; `undefined` if it ends before. */
  async until(mark: string): Promise<string | undefined> {
    let bytes: Buffer = Buffer.alloc(0)
    for (;;) {
      const more = await this.some()
      if (more === undefined) return undefined
      bytes = bytes.length === 0 ? more : Buffer.concat([bytes, more])
      const at = bytes.indexOf(mark, 0, 'latin1')
      if (at < 0) continue
      const rest = bytes.subarray(at + mark.length)
      if (rest.length > 0) this.#chunks.unshift(rest)
      return bytes.toString('latin1', 0, at + mark.length)
    }
  }

  /** So many bytes, handed on piece by piece. Says whether they came. */
  async take(bytes: number, each: (piece: Buffer) => void): Promise<boolean> {
    for (let left = bytes; left > 0; ) {
      const more = await this.some()
      if (more === undefined) return false
      if (more.length > left) this.#chunks.unshift(more.subarray(left))
      each(more.subarray(0, left))
      left -= Math.min(left, more.length)
    }
    return true
  }

  async text(bytes: number): Promise<string> {
    const pieces: Buffer[] = []
    if (!(await this.take(bytes, piece => pieces.push(piece)))) fail('the connection was closed early')
    return Buffer.concat(pieces).toString('latin1')
  }

  /** Resolves when the bytes may be used again. */
  write(bytes: Buffer | string): Promise<void> {
    return new Promise(resolve => this.socket.write(bytes, () => resolve()))
  }
}

const numberIn = (head: string, name: string): number =>
  Number(new RegExp(`^${name}:\\s*(\\d+)`, 'im').exec(head)?.[1] ?? 0)

/** Each MiB of a body, in the same buffer: it is used again when the caller asks for the next. */
function* mebibytesOf(bytes: number): Generator<Buffer> {
  const buffer = patterned(MIB)
  for (let at = 0; at < bytes; at += MIB) {
    markPositions(buffer, at)
    yield buffer
  }
}

// The provider.

const countOf = (head: string, name: RegExp): number => head.match(name)?.length ?? 0

const okay = (body: string, fields = ''): string =>
  `HTTP/1.1 200 OK\r\n${fields}Content-Type: application/json\r\nContent-Length: ${body.length}${HEAD_END}${body}`

const sendBody = async (line: Line, bytes: number, chunked: boolean): Promise<void> => {
  const framing = chunked ? 'Transfer-Encoding: chunked' : `Content-Length: ${bytes}`
  await line.write(`HTTP/1.1 200 OK\r\n${framing}${HEAD_END}`)
  for (const mebibyte of mebibytesOf(bytes)) {
    if (!chunked) {
      await line.write(mebibyte)
      continue
    }
    const chunks = Array.from({ length: MIB / CHUNK_BYTES }, (_, i) => [
      Buffer.from(`${CHUNK_BYTES.toString(16)}\r\n`),
      mebibyte.subarray(i * CHUNK_BYTES, (i + 1) * CHUNK_BYTES),
      Buffer.from('\r\n'),
    ])
    await line.write(Buffer.concat(chunks.flat()))
  }
  if (chunked) await line.write(`0${HEAD_END}`)
}

/** Says whether the connection goes on. */
const answerOne = async (line: Line, head: string): Promise<boolean> => {
  const [, what = '', number = ''] = /^\w+ \/(\w+)(?:\/(\d+))? /.exec(head) ?? []
  switch (what) {
    case 'small': {
      const [clients, roles] = [countOf(head, /^x-pv-client:/gim), countOf(head, /^x-pv-role:/gim)]
      await line.write(okay(smallBody(clients, roles), 'Server: bench\r\nCache-Control: no-store\r\n'))
      return true
    }
    case 'counted':
    case 'chunked':
      await sendBody(line, Number(number), what === 'chunked')
      return true
    case 'upload':
    case 'tunnel': {
      const checked = new Checked()
      if (what === 'tunnel') {
        await line.write(
          `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: bench${HEAD_END}`,
        )
      }
      const bytes = what === 'tunnel' ? Number(number) : numberIn(head, 'content-length')
      const whole = await line.take(bytes, piece => checked.take(piece))
      await line.write(what === 'tunnel' ? verdictBody(checked) : okay(verdictBody(checked)))
      return whole
    }
    default:
      await line.write(`HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close${HEAD_END}`)
      return false
  }
}

const serve = async (socket: Socket): Promise<void> => {
  const line = new Line(socket)
  for (let goesOn = true; goesOn; ) {
    const head = await line.until(HEAD_END)
    goesOn = head !== undefined && (await answerOne(line, head))
  }
  socket.destroy()
}

const provide = async (path: string): Promise<void> => {
  const server = createServer(socket => void serve(socket))
  server.listen({ path, backlog: 4096 })
  await once(server, 'listening')
  process.stdout.write('ready\n')
  process.stdin.resume()
  await once(process.stdin, 'end')
  server.close()
  process.exit(0)
}

// The clients.

const FIELDS =
  'Host: localhost\r\nUser-Agent: bench/1\r\nAccept: application/json\r\nAccept-Encoding: identity\r\n' +
  'Accept-Language: en\r\nX-Request-Id: 4f1c2a9e7b30\r\n'

const smallRequest = (fields: number): string => {
  const more = Array.from({ length: fields - 6 }, (_, i) => `X-Field-${`${i + 6}`.padStart(2, '0')}`)
  return `GET /small HTTP/1.1\r\n${FIELDS}${more.map(name => `${name}: the value of a field\r\n`).join('')}\r\n`
}

const readHead = async (line: Line, status: string): Promise<string> => {
  const head = (await line.until(HEAD_END)) ?? fail('the connection was closed without an answer')
  return head.startsWith(`HTTP/1.1 ${status}`) ? head : fail(`it was answered: ${head.split('\r\n')[0]}`)
}

const ask = async (
  target: string,
  [identities = 0, clients = 0, fields = 0, fresh = 0, warmMs = 0, forMs = 0]: readonly number[],
) => {
  const request = smallRequest(fields)
  const expected = smallBody(identities, identities)
  const tookUs: number[] = []
  const warmUntil = performance.now() + warmMs
  let requests = 0
  let began = Number.POSITIVE_INFINITY
  let ended: number | undefined
  const one = async (): Promise<void> => {
    let line: Line | undefined
    while (ended === undefined) {
      const asked = performance.now()
      line ??= await Line.to(target)
      await line.write(request)
      const head = await readHead(line, '200')
      const body = await line.text(numberIn(head, 'content-length'))
      if (body !== expected || !line.isEmpty) fail(`another answer came than was expected: ${body}`)
      if (fresh > 0) {
        line.socket.destroy()
        line = undefined
      }
      const now = performance.now()
      requests += 1
      if (ended !== undefined) continue
      if (now >= began) {
        tookUs.push((now - asked) * 1000)
        if (now - began >= forMs) ended = now
      } else if (now >= warmUntil) {
        began = now
      }
    }
    line?.socket.destroy()
  }
  await Promise.all(Array.from({ length: clients }, one))
  const sorted = tookUs.sort((a, b) => a - b)
  return {
    requests,
    counted: sorted.length,
    seconds: ((ended ?? began) - began) / 1000,
    medianUs: median(sorted),
    p99Us: sorted[Math.floor(sorted.length * 0.99)] ?? 0,
  }
}

const download = async (line: Line, what: string, bytes: number): Promise<Checked> => {
  const checked = new Checked()
  const take = async (length: number): Promise<void> => {
    if (!(await line.take(length, piece => checked.take(piece)))) fail('the connection was closed early')
  }
  await line.write(`GET /${what}/${bytes} HTTP/1.1\r\nHost: localhost${HEAD_END}`)
  const counted = numberIn(await readHead(line, '200'), 'content-length')
  if (counted > 0) {
    await take(counted)
    return checked
  }
  for (let length = -1; length !== 0; ) {
    length = Number.parseInt((await line.until('\r\n')) ?? fail('the connection was closed early'), 16)
    await take(length)
    if ((await line.text(2)) !== '\r\n') fail('a chunk is longer than it says')
  }
  return checked
}

/** What the provider says that it got. */
const upload = async (line: Line, tunnelled: boolean, bytes: number) => {
  await line.write(
    tunnelled
      ? `GET /tunnel/${bytes} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: bench${HEAD_END}`
      : `PUT /upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${bytes}${HEAD_END}`,
  )
  if (tunnelled) await readHead(line, '101')
  for (const mebibyte of mebibytesOf(bytes)) await line.write(mebibyte)
  if (!tunnelled) await readHead(line, '200')
  const [, position, garbled] = /(\d+)\D+(\d+)/.exec(await line.text(VERDICT_BYTES)) ?? []
  return { position: Number(position), garbled: Number(garbled) }
}

const move = async (verb: string, target: string, [bytes = 0, warmMs = 0, forMs = 0]: readonly number[]) => {
  if (bytes <= 0 || bytes % MIB !== 0) fail('a body is a multiple of 1 MiB')
  const warmUntil = performance.now() + warmMs
  let line: Line | undefined
  let [done, sent, arrived, garbled] = [0, 0, 0, 0]
  let began = performance.now()
  for (;;) {
    line ??= await Line.to(target)
    const tunnelled = verb === 'tunnel'
    const uploads = tunnelled || verb === 'upload'
    const got = uploads ? await upload(line, tunnelled, bytes) : await download(line, verb, bytes)
    if (!line.isEmpty) fail('more came than was asked for')
    if (tunnelled) {
      line.socket.destroy()
      line = undefined
    }
    const now = performance.now()
    sent += bytes
    arrived += got.position
    garbled += got.garbled
    // The first is never counted: it has the connection's making in it.
    if (now < warmUntil || sent === bytes) began = now
    else done += bytes
    if (done > 0 && now - began >= forMs) {
      line?.socket.destroy()
      return { bytes: done, seconds: (now - began) / 1000, sent, arrived, garbled }
    }
  }
}

const main = ([verb = '', target = '', ...rest]: readonly string[]): Promise<unknown> => {
  const numbers = rest.map(Number)
  switch (`${verb} ${rest.length}`) {
    case 'provide 0':
      return provide(target)
    case 'ask 6':
      return ask(target, numbers)
    case 'counted 3':
    case 'chunked 3':
    case 'upload 3':
    case 'tunnel 3':
      return move(verb, target, numbers)
    default:
      return fail('usage: see the head of http-client.c')
  }
}

const result = await main(process.argv.slice(2))
process.stdout.write(`${JSON.stringify(result)}\n`)
process.exit(0)
