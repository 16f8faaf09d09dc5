/**
 * The inside of a demo container. First the process that makes it, then, started by that one, its pid 1.
 * Both end when their standard input does, so nothing outlives the demo, however it ends.
 */
import { spawn } from 'node:child_process'
import { existsSync, lstatSync, mkdirSync, readlinkSync, symlinkSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname } from 'node:path'
import {
  bindReadOnly,
  enterRoot,
  makeMountsPrivate,
  mountFresh,
  setHostName,
  unshareContainer,
} from '../kernel/container.ts'
import { runConsumer } from './consumer.ts'
import { must } from './peer.ts'
import { exampleFolder, programFile } from './program.ts'
import { runProvider } from './provider.ts'

/** What a Node program needs to start, shown to the container read-only. */
const SYSTEM = ['/usr', '/bin', '/sbin', '/lib', '/lib32', '/lib64', '/libx32', '/etc']
/** What dbus-daemon cannot do without. */
const DEVICES = ['/dev/null', '/dev/urandom']

/** This program, its examples, Node, and koffi's native part, wherever they are installed. */
const programFolders = (script: string): readonly string[] => {
  const koffi = createRequire(script).resolve('koffi')
  const modules = koffi.slice(0, koffi.lastIndexOf('/node_modules/') + '/node_modules'.length)
  const folders = [dirname(script), exampleFolder(), dirname(process.execPath), modules]
  return folders.filter(
    folder => !SYSTEM.some(system => folder === system || folder.startsWith(`${system}/`)),
  )
}

/** A read-only view of the host's folder at the same path; a symlink such as `/bin -> usr/bin` is made again. */
const show = (root: string, folder: string): void => {
  if (!existsSync(folder)) return
  if (lstatSync(folder).isSymbolicLink()) {
    symlinkSync(readlinkSync(folder), `${root}${folder}`)
    return
  }
  mkdirSync(`${root}${folder}`, { recursive: true })
  must(bindReadOnly(folder, `${root}${folder}`))
}

const showDevice = (root: string, device: string): void => {
  writeFileSync(`${root}${device}`, '')
  must(bindReadOnly(device, `${root}${device}`))
}

const makeRoot = (root: string, script: string): void => {
  must(mountFresh('tmpfs', root))
  for (const folder of ['/proc', '/run', '/tmp', '/dev', '/old']) mkdirSync(`${root}${folder}`)
  for (const folder of [...SYSTEM, ...programFolders(script)]) show(root, folder)
  for (const device of DEVICES) showDevice(root, device)
  must(enterRoot(root, '/old'))
}

/** Make the container and run its pid 1, with which it ends; says that one's pid, as the host counts, on standard output. */
const makeContainer = (name: string, root: string, role: string): Promise<number> => {
  const script = programFile()
  must(unshareContainer())
  must(makeMountsPrivate())
  must(setHostName(name))
  makeRoot(root, script)
  process.chdir('/')
  const child = spawn(process.execPath, [script, 'demo', 'inside', 'init', role], {
    stdio: ['pipe', 'inherit', 'inherit'],
    env: { PATH: '/usr/bin:/bin' },
  })
  process.stdout.write(`${JSON.stringify({ event: 'container', name, pid: child.pid })}\n`)
  // Killed from outside, it is not there to read any more: its exit says so, this would only say it twice.
  child.stdin.on('error', () => child.stdin.destroy())
  process.stdin.pipe(child.stdin)
  return new Promise(() => child.once('exit', code => process.exit(code ?? 1)))
}

const runInit = (role: string): Promise<number> => {
  must(mountFresh('proc', '/proc'))
  return role === 'provider' ? runProvider() : runConsumer()
}

export const runInside = async ([step = '', ...rest]: readonly string[]): Promise<number> => {
  const [first = '', root = '', role = ''] = rest
  return step === 'init' ? runInit(first) : makeContainer(first, root, role)
}
