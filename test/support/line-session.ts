/**
 * A small session that uses everything the session seam offers, one line of the consumer's at a time:
 *
 *   # …       dropped, with its descriptors        wait MS   nothing more is looked at for so long
 *   ping      answered with "pong"                 end       the provider sees the end of the stream
 *   raw N     the next N bytes pass unseen         quit, bye, abort   close: flush, linger, now
 *   tunnel    from now on all passes unseen        note      counted and reported
 *   boom      throws                               hold      not consumed before the provider was reached
 *
 * Any other line goes to the provider behind the consumer's uid, with its descriptors; the first one dials.
 */
import type { Commands, Session, SessionInput } from '../../src/relay/contract.ts'

type Bytes = SessionInput & { readonly kind: 'bytes' }

export interface LineSession extends Session {
  /** What was told besides bytes. */
  readonly told: string[]
}

const NEWLINE = 0x0a

export const lineSession = (): LineSession => {
  let uid = -1
  let dialled = false
  let reached = false

  const dialOnce = (out: Commands): void => {
    if (!dialled) out.dial('daemon')
    dialled = true
  }

  /** What a word asks for, once its line has been consumed. */
  const words: Readonly<Record<string, (out: Commands, argument: number) => void>> = {
    ping: out => out.send('consumer', [Buffer.from('po'), Buffer.from('ng\n')], 0),
    raw: (out, bytes) => out.opaque('consumer', bytes),
    tunnel: out => {
      dialOnce(out)
      out.opaque('provider', 'until-end')
      out.opaque('consumer', 'until-end')
    },
    wait: (out, ms) => {
      out.pause('consumer')
      out.setTimer('wake', ms)
    },
    end: out => out.endWrite('provider'),
    quit: out => out.close('flush'),
    bye: out => out.close('linger'),
    abort: out => out.close('now'),
    note: out => {
      out.count('messages')
      out.count('denials', 2)
      out.report({ event: 'noted', facts: { uid } })
    },
    boom: () => {
      throw new Error('boom')
    },
  }

  const line = ({ from, view, fds }: Bytes, out: Commands): void => {
    const end = view.indexOf(NEWLINE) + 1
    if (end === 0) return
    const own = fds.count > 0 && fds.at < end ? fds.count : 0
    const text = Buffer.from(view.subarray(0, end - 1)).toString()
    const [word = '', argument] = text.split(' ')
    const act = words[word]
    if (word === 'hold' && !reached) {
      dialOnce(out)
      out.pause(from)
    } else if (word.startsWith('#')) {
      out.drop(from, end, own)
    } else if (act !== undefined) {
      out.drop(from, end, own)
      act(out, Number(argument))
    } else {
      dialOnce(out)
      out.send('provider', [Buffer.from(`${uid}: `)], 0)
      out.forward(from, end, own)
    }
  }

  const session: LineSession = {
    told: [],
    on: (input, out) => {
      switch (input.kind) {
        case 'opened':
          uid = input.peer.uid
          return
        case 'bytes':
          if (input.from === 'consumer') line(input, out)
          else out.forward('provider', input.view.length, input.fds.count)
          return
        case 'dialled':
          session.told.push(input.failed === undefined ? 'dialled' : `dialled: ${input.failed}`)
          reached = true
          out.resume('consumer')
          if (input.failed === undefined) return
          out.send('consumer', [Buffer.from(`no provider: ${input.failed}\n`)], 0)
          out.close('flush')
          return
        case 'ended':
          session.told.push(`${input.from} ${input.fully ? 'gone' : 'ended'}`)
          out.endWrite(input.from === 'consumer' ? 'provider' : 'consumer')
          return
        case 'drained':
          session.told.push(`drained ${input.to}`)
          return
        case 'broken':
          session.told.push(`${input.to} broken`)
          out.close('flush')
          return
        case 'withdrawn':
        case 'linger-over':
          session.told.push(input.kind)
          return
        case 'timer':
          session.told.push(`timer ${input.name}`)
          out.resume('consumer')
          return
      }
    },
  }
  return session
}
