/**
 * A `rest` session on a stage of its own: what a consumer and a provider do is told step by step, what either of them
 * gets is kept to the last byte, and no socket is anywhere. In all texts `⏎` stands for CRLF, and a character for a byte.
 */
import { restSessions } from '../../plugins/rest/session.ts'
import { DEFAULT_LIMITS, type ProtocolLimits } from '../../src/model/limits.ts'
import type { DialError, Session, Side } from '../../src/relay/contract.ts'
import { RecordingCommands, type Report } from './recording-commands.ts'

export const wire = (text: string): Buffer => Buffer.from(text.replaceAll('⏎', '\r\n'), 'latin1')

export const shown = (bytes: Buffer): string => bytes.toString('latin1').replaceAll('\r\n', '⏎')

/** What a provider is told of `app`, whose role nobody named. */
export const IDENTITY = 'X-PV-Client: app⏎X-PV-Role: any⏎'

/** The simplest whole response. */
export const response = (body = '', status = '200 OK'): string =>
  `HTTP/1.1 ${status}⏎Content-Length: ${body.length}⏎⏎${body}`

const PHRASES: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  408: 'Request Timeout',
  414: 'URI Too Long',
  417: 'Expectation Failed',
  431: 'Request Header Fields Too Large',
  501: 'Not Implemented',
  502: 'Bad Gateway',
  503: 'Service Unavailable',
  504: 'Gateway Timeout',
  505: 'HTTP Version Not Supported',
}

/** What a consumer gets from the daemon itself, whole. */
export const refusal = (status: number, reason: string): string => {
  const phrase = PHRASES[status] ?? ''
  const error = phrase.toLowerCase().replaceAll(' ', '_')
  const body = JSON.stringify({ error, reason })
  const fields = `Server: pv-xconnect⏎Content-Type: application/json⏎Content-Length: ${body.length}⏎`
  const retry = status === 503 ? 'Retry-After: 1⏎' : ''
  return `HTTP/1.1 ${status} ${phrase}⏎${fields}${retry}Connection: close⏎⏎${body}`
}

export interface Staging {
  readonly consumer?: string
  readonly role?: string
  readonly limits?: Partial<ProtocolLimits>
  readonly dials?: 'at once' | 'when told'
  /** Instead of the real one. */
  readonly session?: Session
}

export class RestStage {
  readonly commands: RecordingCommands

  constructor({ consumer = 'app', role = 'any', limits = {}, dials = 'at once', session }: Staging = {}) {
    const real = (): Session => restSessions({ consumer, role }, { ...DEFAULT_LIMITS, ...limits })()
    this.commands = new RecordingCommands(session ?? real(), 0, { dials })
  }

  consumerSays(text: string): this {
    this.commands.arrive('consumer', wire(text))
    return this
  }

  providerSays(text: string): this {
    this.commands.arrive('provider', wire(text))
    return this
  }

  /** It half-closes: it still reads. */
  ends(side: Side): this {
    this.commands.end(side)
    return this
  }

  /** It closes altogether. */
  leaves(side: Side): this {
    this.commands.end(side, true)
    return this
  }

  /** It reads no more. */
  breaks(side: Side): this {
    this.commands.breaks(side)
    return this
  }

  dialled(failed?: DialError): this {
    this.commands.dialled(failed)
    return this
  }

  elapse(ms: number): this {
    this.commands.elapse(ms)
    return this
  }

  withdraw(): this {
    this.commands.withdraw()
    return this
  }

  get toProvider(): string {
    return shown(this.commands.bytesTo('provider'))
  }

  get toConsumer(): string {
    return shown(this.commands.bytesTo('consumer'))
  }

  get closing(): 'now' | 'flush' | 'linger' | undefined {
    return this.commands.closing
  }

  get dials(): number {
    return this.commands.said.filter(what => what === 'dial').length
  }

  get reports(): readonly Report[] {
    return this.commands.reports
  }

  /** A figure of the session's, with all of the labels given. */
  counted(name: string, labels: Readonly<Record<string, string | number>> = {}): number {
    const wanted = Object.entries(labels).map(([label, value]) => `${label}=${value}`)
    return [...this.commands.counted]
      .filter(([key]) => {
        const [own, ...have] = key.split(' ')
        return own === name && wanted.every(label => have.includes(label))
      })
      .reduce((sum, [, by]) => sum + by, 0)
  }
}
