/** The `rest` session as it would be if it told who asks with the first request of a connection only. */
import { restSessions } from '../../../plugins/rest/session.ts'
import { DEFAULT_LIMITS } from '../../../src/model/limits.ts'
import type { ByteView, Commands, Session } from '../../../src/relay/contract.ts'
import { restChecks } from '../rest-checks.ts'
import { targetOf } from '../target.ts'

const IDENTITY = 'X-PV-Client: app\r\nX-PV-Role: any\r\n'

const forgetful = (): Session => {
  const session = restSessions({ consumer: 'app', role: 'any' }, DEFAULT_LIMITS)()
  let isKnown = false
  return {
    on: (input, out) => {
      const send: Commands['send'] = (to, slices, fds) => {
        const text = Buffer.concat(slices).toString('latin1')
        const kept: readonly ByteView[] =
          to === 'provider' && isKnown ? [Buffer.from(text.replace(IDENTITY, ''), 'latin1')] : slices
        isKnown ||= to === 'provider' && text.includes(IDENTITY)
        out.send(to, kept, fds)
      }
      const commands = new Proxy(out, {
        get: (target, name) => {
          if (name === 'send') return send
          const own: unknown = Reflect.get(target, name)
          return typeof own === 'function' ? own.bind(target) : own
        },
      })
      session.on(input, commands)
    },
  }
}

export const target = targetOf('forgets', 'identifies first requests only', restChecks(forgetful))
