/**
 * Whom roles stand for in a provider, by its own passwd and group files. They are read again when they may have changed: a
 * dial costs two looks at them. What cannot be read says nothing, which leaves a role the fewest rights, and never more.
 */
import { E } from '../fp.ts'
import { type Account, accountOfRole } from '../model/accounts.ts'
import type { Link } from '../model/link.ts'
import type { Container } from './containers.ts'
import type { ProviderFiles } from './contract.ts'
import { providerFiles } from './provider-files.ts'

/** Longer ones are not read. */
const MOST_BYTES = 1024 * 1024
/** Roles of one provider that are remembered. */
const MOST_ROLES = 256

export type RoleOfLink = Pick<Link, 'role' | 'uid'>

export interface RoleUsers {
  of(provider: Container, link: RoleOfLink): Account
}

interface Known {
  readonly stamps: string
  readonly accounts: Map<string, Account>
}

const decoder = new TextDecoder()

const textOf = (files: ProviderFiles, path: string): string => {
  const bytes = files.read(path, MOST_BYTES)
  return E.isLeft(bytes) ? '' : decoder.decode(bytes.right)
}

export const createRoleUsers = (): RoleUsers => {
  const known = new WeakMap<Container, Known>()
  return {
    of: (provider, { role, uid }) => {
      const files = providerFiles(provider)
      const stamps = `${files.stamp('/etc/passwd')} ${files.stamp('/etc/group')}`
      const before = known.get(provider)
      const isValid = before?.stamps === stamps && before.accounts.size < MOST_ROLES
      const { accounts } = isValid ? before : { accounts: new Map<string, Account>() }
      if (!isValid) known.set(provider, { stamps, accounts })
      const name = `${uid ?? ''}:${role}`
      const found = accounts.get(name)
      if (found !== undefined) return found
      const account = accountOfRole(role, uid, {
        passwd: textOf(files, '/etc/passwd'),
        group: textOf(files, '/etc/group'),
      })
      accounts.set(name, account)
      return account
    },
  }
}
