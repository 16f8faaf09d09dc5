/**
 * The load of the benchmark where there is no C compiler: the same program as load.c, whose head has its usage and its
 * protocol, but for descriptors, which Node cannot pass. Slower, so its figures compare with its own only.
 */
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { BLOCK, Checked, markPositions, patterned } from './blocks.ts'
import { median } from './statistics.ts'

const HEAD_BYTES = 8
const PATIENCE_MS = 20_000

const sleep = (ms: number): Promise<void> => new Promise(resolve => setTimeout(resolve, ms))

const verdictOf = ({ position, garbled }: Checked): Buffer => {
  const verdict = Buffer.alloc(24)
  verdict.writeBigUInt64LE(BigInt(position), 0)
  verdict.writeBigUInt64LE(BigInt(garbled), 8)
  return verdict
}

const serve = (socket: Socket): void => {
  const checked = new Checked()
  let head: Buffer = Buffer.alloc(0)
  let verb: string | undefined
  const take = (chunk: Buffer): void => {
    if (verb === 'S') checked.take(chunk)
    else if (!socket.write(chunk)) {
      socket.pause()
      socket.once('drain', () => socket.resume())
    }
  }
  socket.on('data', (chunk: Buffer) => {
    if (verb !== undefined) {
      take(chunk)
      return
    }
    head = Buffer.concat([head, chunk])
    // A line ahead of the head tells who comes (docs/identity.md).
    if (head[0] === 0x7b) {
      const end = head.indexOf('\n')
      head = end < 0 ? head : head.subarray(end + 1)
      if (end < 0) return
    }
    if (head.length < HEAD_BYTES) return
    verb = String.fromCharCode(head[0] ?? 0)
    if (head.length > HEAD_BYTES) take(head.subarray(HEAD_BYTES))
  })
  socket.on('end', () => socket.end(verb === 'S' ? verdictOf(checked) : ''))
  socket.on('error', () => socket.destroy())
}

const provide = async (path: string): Promise<void> => {
  const server = createServer({ allowHalfOpen: true }, serve)
  server.listen({ path, backlog: 4096 })
  await once(server, 'listening')
  process.stdout.write('ready\n')
  process.stdin.resume()
  await once(process.stdin, 'end')
  server.close()
  process.exit(0)
}

/** A connection that can be read by the piece. */
class Line {
  readonly socket: Socket
  #chunks: Buffer[] = []
  #length = 0
  #wanted: { readonly bytes: number; readonly resolve: (bytes: Buffer) => void } | undefined

  private constructor(socket: Socket) {
    this.socket = socket
    socket.on('data', (chunk: Buffer) => {
      this.#chunks.push(chunk)
      this.#length += chunk.length
      this.#answer()
    })
    socket.on('end', () => {
      if (this.#wanted !== undefined) fail('the connection was closed early')
    })
    socket.on('error', error => fail(error.message))
    socket.setTimeout(PATIENCE_MS, () => fail('nothing moved any more'))
  }

  static async to(path: string): Promise<Line> {
    const socket = connect({ path, allowHalfOpen: true })
    await once(socket, 'connect')
    return new Line(socket)
  }

  #answer(): void {
    if (this.#wanted === undefined || this.#length < this.#wanted.bytes) return
    const { bytes, resolve } = this.#wanted
    const all = this.#chunks.length === 1 ? this.#chunks[0] : Buffer.concat(this.#chunks)
    const rest = all?.subarray(bytes) ?? Buffer.alloc(0)
    this.#wanted = undefined
    this.#chunks = rest.length > 0 ? [rest] : []
    this.#length = rest.length
    resolve(all?.subarray(0, bytes) ?? rest)
  }

  read(bytes: number): Promise<Buffer> {
    return new Promise(resolve => {
      this.#wanted = { bytes, resolve }
      this.#answer()
    })
  }

  /** Resolves when more may be written. */
  async write(bytes: Buffer): Promise<void> {
    if (!this.socket.write(bytes)) await once(this.socket, 'drain')
  }
}

const fail = (why: string): never => {
  process.stderr.write(`${why}\n`)
  process.exit(1)
}

const headOf = (verb: 'E' | 'S'): Buffer => {
  const head = Buffer.alloc(HEAD_BYTES)
  head.write(verb)
  return head
}

let stopped = false
let counting = false

interface Worker {
  done: number
  readonly finished: Promise<void>
}

const sum = (workers: readonly Worker[]): number => workers.reduce((total, { done }) => total + done, 0)

const measure = async (workers: readonly Worker[], warmMs: number, forMs: number) => {
  await sleep(warmMs)
  const began = performance.now()
  const before = sum(workers)
  counting = true
  let done = 0
  // On a machine that is busy elsewhere, nothing may have been done yet: that is no rate.
  while (done === 0) {
    await sleep(forMs)
    done = sum(workers) - before
  }
  const seconds = (performance.now() - began) / 1000
  counting = false
  stopped = true
  await Promise.all(workers.map(({ finished }) => finished))
  return { done, seconds }
}

const startWorkers = async (
  target: string,
  count: number,
  verb: 'E' | 'S',
  work: (line: Line, worker: { done: number }) => Promise<void>,
): Promise<readonly Worker[]> => {
  const lines: Line[] = []
  for (let i = 0; i < count; i += 1) lines.push(await Line.to(target))
  return lines.map(line => {
    const worker = { done: 0 }
    line.socket.write(headOf(verb))
    return Object.assign(worker, { finished: work(line, worker) })
  })
}

const bulk = async (target: string, count: number, bytes: number, warmMs: number, forMs: number) => {
  let arrived = 0n
  let garbled = 0n
  const workers = await startWorkers(target, count, 'S', async (line, worker) => {
    // Written bytes may still be in use when the next are made: alternate.
    const buffers = [patterned(bytes), patterned(bytes)] as const
    for (let turn = 0; !stopped; turn += 1) {
      const buffer = turn % 2 === 0 ? buffers[0] : buffers[1]
      markPositions(buffer, worker.done)
      await new Promise(resolve => line.socket.write(buffer, resolve))
      worker.done += bytes
    }
    line.socket.end()
    const verdict = await line.read(24)
    arrived += verdict.readBigUInt64LE(0)
    garbled += verdict.readBigUInt64LE(8)
  })
  const { done, seconds } = await measure(workers, warmMs, forMs)
  const sent = sum(workers)
  return {
    bytes: done,
    seconds,
    sent,
    arrived: Number(arrived),
    garbled: Number(garbled),
    descriptors: 0,
    intact: 0,
  }
}

const trip = async (target: string, count: number, bytes: number, warmMs: number, forMs: number) => {
  const tookUs: number[] = []
  const workers = await startWorkers(target, count, 'E', async (line, worker) => {
    const asked = patterned(Math.ceil(bytes / BLOCK) * BLOCK).subarray(0, bytes)
    for (; !stopped; worker.done += 1) {
      const began = performance.now()
      asked.writeBigUInt64LE(BigInt(worker.done))
      await line.write(asked)
      const heard = await line.read(bytes)
      const took = performance.now() - began
      if (!heard.equals(asked)) fail('another message came back than was sent')
      if (counting) tookUs.push(took * 1000)
    }
    line.socket.destroy()
  })
  const { done, seconds } = await measure(workers, warmMs, forMs)
  const sorted = tookUs.sort((a, b) => a - b)
  return {
    trips: done,
    seconds,
    samples: sorted.length,
    medianUs: median(sorted),
    p99Us: sorted[Math.floor(sorted.length * 0.99)] ?? 0,
  }
}

const connectAgainAndAgain = async (target: string, warmMs: number, forMs: number) => {
  let began = performance.now() + warmMs
  for (let count = 0, letter = 0; ; letter = (letter + 1) & 255) {
    const line = await Line.to(target)
    await line.write(Buffer.concat([headOf('E'), Buffer.of(letter)]))
    const heard = await line.read(1)
    line.socket.destroy()
    if (heard[0] !== letter) fail('another byte came back than was sent')
    const now = performance.now()
    if (now < began) continue
    if (count === 0) began = now
    else if (now - began >= forMs) return { connections: count, seconds: (now - began) / 1000 }
    count += 1
  }
}

const main = async ([verb = '', target = '', ...rest]: readonly string[]): Promise<unknown> => {
  const [a = 0, b = 0, c = 0, d = 0, e = 0] = rest.map(Number)
  switch (`${verb} ${rest.length}`) {
    case 'provide 0':
      return provide(target)
    case 'bulk 5':
      return c > 0 ? fail('Node cannot pass descriptors') : bulk(target, a, b, d, e)
    case 'trip 4':
      return trip(target, a, b, c, d)
    case 'connect 2':
      return connectAgainAndAgain(target, a, b)
    default:
      return fail('usage: see the head of load.c')
  }
}

const result = await main(process.argv.slice(2))
process.stdout.write(`${JSON.stringify(result)}\n`)
process.exit(0)
