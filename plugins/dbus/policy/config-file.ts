/**
 * One configuration file of a bus -> what it has to say here, in its order: rules, other files, addresses. Pure.
 * What says nothing about policy is looked at for its form only, because a file that has a flaw counts for nothing at all:
 * the daemon would not have loaded it either.
 */
import { E } from '../../../src/fp.ts'
import { shown } from '../../../src/model/shown.ts'
import { idOf, readRule } from './rule-reader.ts'
import type { Audience, Names, PlacedRule } from './rules.ts'
import { type Element, readXml } from './xml.ts'

export type ConfigItem =
  | { readonly kind: 'rule'; readonly placed: PlacedRule }
  /** A path is as written, relative to the file's folder unless it begins with a slash. */
  | {
      readonly kind: 'include'
      readonly path: string
      readonly ignoreMissing: boolean
      readonly line: number
    }
  | { readonly kind: 'includedir'; readonly path: string; readonly line: number }
  /** A list of addresses (D-Bus specification, "Server Addresses"). */
  | { readonly kind: 'listen'; readonly address: string }

type Read = E.Either<string, readonly ConfigItem[]>

const NOTHING: Read = E.right([])

/** An element's name is text of the provider's, and may be of any length. */
const tagOf = (name: string): string => (name.length <= 40 ? `<${name}>` : `<${name.slice(0, 40)}...>`)

const flaw = ({ line, name }: Element, what: string): E.Either<string, never> =>
  E.left(`line ${line}, ${tagOf(name)}: ${what}`)

const unknownAttribute = (element: Element, known: readonly string[]): string | undefined =>
  [...element.attributes.keys()].find(name => !known.includes(name))

/** An element with these attributes at most; one of elements has no text, one of text has no elements, and has some. */
const formOf = (
  element: Element,
  attributes: readonly string[],
  content: 'elements' | 'text' | 'nothing',
): E.Either<string, Element> => {
  const odd = unknownAttribute(element, attributes)
  if (odd !== undefined) return flaw(element, `it has no attribute ${shown(odd)}`)
  const [child] = element.children
  if (content !== 'elements' && child !== undefined)
    return flaw(child, `it may not be within ${tagOf(element.name)}`)
  if (content === 'text') return element.text === '' ? flaw(element, 'it is empty') : E.right(element)
  return /^[ \t\r\n]*$/.test(element.text) ? E.right(element) : flaw(element, 'there is text in it')
}

/** What has no say here. */
const PLAIN_TEXTS: ReadonlySet<string> = new Set([
  'user',
  'type',
  'pidfile',
  'auth',
  'servicedir',
  'servicehelper',
])
const PLAIN_MARKS: ReadonlySet<string> = new Set([
  'fork',
  'syslog',
  'keep_umask',
  'allow_anonymous',
  'standard_session_servicedirs',
  'standard_system_servicedirs',
])

const AUDIENCES = ['context', 'user', 'group', 'at_console'] as const

const audienceOf = (element: Element, names: Names): E.Either<string, Audience> => {
  const given = AUDIENCES.filter(name => element.attributes.has(name))
  const [kind] = given
  if (kind === undefined || given.length > 1) {
    return flaw(element, `it takes exactly one of ${AUDIENCES.join(', ')}`)
  }
  const value = element.attributes.get(kind) ?? ''
  switch (kind) {
    case 'context':
      if (value === 'default' || value === 'mandatory') return E.right({ kind: value })
      return flaw(element, `context is ${shown(value)}, and takes default or mandatory`)
    case 'at_console':
      if (value === 'true' || value === 'false')
        return E.right({ kind: 'console', present: value === 'true' })
      return flaw(element, `at_console is ${shown(value)}, and takes true or false`)
    case 'user': {
      const uid = idOf(value, names.uidOf)
      return E.right(uid === undefined ? { kind: 'nobody' } : { kind, uid })
    }
    case 'group': {
      const gid = idOf(value, names.gidOf)
      return E.right(gid === undefined ? { kind: 'nobody' } : { kind, gid })
    }
  }
}

interface Reading {
  readonly file: string
  readonly names: Names
}

const readPolicy = (element: Element, { file, names }: Reading): Read => {
  const form = formOf(element, AUDIENCES, 'elements')
  if (E.isLeft(form)) return form
  const audience = audienceOf(element, names)
  if (E.isLeft(audience)) return audience
  const policy = [...element.attributes].map(([name, value]) => `${name}=${JSON.stringify(value)}`).join(' ')
  const items: ConfigItem[] = []
  for (const child of element.children) {
    if (child.name !== 'allow' && child.name !== 'deny') return flaw(child, 'it may not be within <policy>')
    const childForm = formOf(child, [...child.attributes.keys()], 'nothing')
    if (E.isLeft(childForm)) return childForm
    const origin = { file, line: child.line, source: child.source, policy }
    const rule = readRule(child, child.name, origin, names)
    if (E.isLeft(rule)) return flaw(child, rule.left)
    const isPersonal = audience.right.kind === 'user' || audience.right.kind === 'group'
    if (isPersonal && rule.right.kind === 'connect') {
      return flaw(child, 'who may connect is said for everybody, not within the <policy> of a user or group')
    }
    items.push({ kind: 'rule', placed: { audience: audience.right, rule: rule.right } })
  }
  return E.right(items)
}

const YES_OR_NO = ['ignore_missing', 'if_selinux_enabled', 'selinux_root_relative'] as const

const readInclude = (element: Element): Read => {
  const form = formOf(element, YES_OR_NO, 'text')
  if (E.isLeft(form)) return form
  for (const name of YES_OR_NO) {
    const value = element.attributes.get(name) ?? 'no'
    if (value !== 'yes' && value !== 'no')
      return flaw(element, `${name} is ${shown(value)}, and takes yes or no`)
  }
  const says = (name: (typeof YES_OR_NO)[number]): boolean => element.attributes.get(name) === 'yes'
  // They hold SELinux's own contexts, of which nothing counts here.
  if (says('if_selinux_enabled') || says('selinux_root_relative')) return NOTHING
  const ignoreMissing = says('ignore_missing')
  return E.right([{ kind: 'include', path: element.text, ignoreMissing, line: element.line }])
}

const readLimit = (element: Element): Read => {
  const form = formOf(element, ['name'], 'text')
  if (E.isLeft(form)) return form
  return element.attributes.has('name') ? NOTHING : flaw(element, 'it needs the attribute name')
}

const readSelinux = (element: Element): Read => {
  const form = formOf(element, [], 'elements')
  if (E.isLeft(form)) return form
  for (const child of element.children) {
    if (child.name !== 'associate') return flaw(child, 'it may not be within <selinux>')
    const childForm = formOf(child, ['own', 'context'], 'nothing')
    if (E.isLeft(childForm)) return childForm
    if (child.attributes.size < 2) return flaw(child, 'it needs the attributes own and context')
  }
  return NOTHING
}

const withForm = (
  form: E.Either<string, Element>,
  items: (element: Element) => readonly ConfigItem[],
): Read => E.map(items)(form)

const readChild = (element: Element, reading: Reading): Read => {
  const { name, line } = element
  if (PLAIN_TEXTS.has(name)) return withForm(formOf(element, [], 'text'), () => [])
  if (PLAIN_MARKS.has(name)) return withForm(formOf(element, [], 'nothing'), () => [])
  switch (name) {
    case 'policy':
      return readPolicy(element, reading)
    case 'include':
      return readInclude(element)
    case 'includedir':
      return withForm(formOf(element, [], 'text'), ({ text }) => [{ kind: 'includedir', path: text, line }])
    case 'listen':
      return withForm(formOf(element, [], 'text'), ({ text }) => [{ kind: 'listen', address: text }])
    case 'limit':
      return readLimit(element)
    case 'selinux':
      return readSelinux(element)
    case 'apparmor':
      return withForm(formOf(element, ['mode'], 'nothing'), () => [])
    default:
      return flaw(element, 'it is not known here')
  }
}

/** The file's items in their order, or its first flaw. `file` is what rules say they come from. */
export const readConfigFile = (bytes: Uint8Array, file: string, names: Names): Read => {
  const root = readXml(bytes)
  if (E.isLeft(root)) return root
  if (root.right.name !== 'busconfig') return flaw(root.right, 'the root element is <busconfig>')
  const form = formOf(root.right, [], 'elements')
  if (E.isLeft(form)) return form
  const items: ConfigItem[] = []
  for (const child of root.right.children) {
    const read = readChild(child, { file, names })
    if (E.isLeft(read)) return read
    items.push(...read.right)
  }
  return E.right(items)
}
