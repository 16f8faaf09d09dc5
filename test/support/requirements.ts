/**
 * What the tests in real namespaces need from the machine.
 * On a laptop a test that cannot run is skipped and says why; where CI=true it fails, so that nothing is missed in silence.
 */
import { accessSync, constants, existsSync } from 'node:fs'
import type { TestContext } from 'node:test'

export const PYTHON = '/usr/bin/python3'
export const CHROMIUM = '/usr/bin/chromium'
export const DAEMON = 'dist/pv-xconnect.js'

/** What makes the tests' containers: util-linux, or LXC as under Pantavisor. Not a name the daemon would look at. */
export const CONTAINERS = process.env['PVX_TEST_CONTAINERS'] ?? 'unshare'
if (!['unshare', 'lxc'].includes(CONTAINERS)) {
  throw new Error(`PVX_TEST_CONTAINERS is ${CONTAINERS}: it takes unshare or lxc`)
}

const TOOLS = ['unshare', 'nsenter', 'mount', 'umount', 'pivot_root', 'chroot', 'prlimit', 'setpriv']
const TOOL_FOLDERS = ['/usr/sbin', '/usr/bin', '/sbin', '/bin']

const isExecutable = (path: string): boolean => {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

export const isInstalled = (tool: string): boolean =>
  TOOL_FOLDERS.some(folder => isExecutable(`${folder}/${tool}`))

const LXC_TOOLS = ['lxc-start', 'lxc-stop', 'lxc-info']

/** What keeps these tests from running here, in words; `undefined` if nothing does. */
export const obstacle = (withLxc = false): string | undefined => {
  if (process.platform !== 'linux') return 'needs Linux'
  if (process.geteuid?.() !== 0) return 'needs root: containers are made with namespaces of their own'
  const missing = TOOLS.filter(tool => !isInstalled(tool))
  if (missing.length > 0) return `needs ${missing.join(', ')} (util-linux, coreutils)`
  if (withLxc && !LXC_TOOLS.every(isInstalled)) {
    return `needs ${LXC_TOOLS.join(', ')} (Debian: apt-get install --no-install-recommends lxc)`
  }
  if (!isExecutable(PYTHON)) return `needs ${PYTHON} (Debian: apt-get install python3)`
  if (!existsSync(DAEMON)) return `needs ${DAEMON} (npm run build)`
  return undefined
}

/** What keeps the page from being tried in a browser. */
export const browserObstacle = (): string | undefined => {
  if (!isExecutable(CHROMIUM)) return `needs ${CHROMIUM} (Debian: apt-get install chromium)`
  return existsSync('dist/inspector/page.js') ? undefined : 'needs dist/inspector (npm run build)'
}

/** Whether the test may go on: nothing stands against it. If not it has been skipped, or on a build machine it has failed. */
export const mayGoOn = (t: TestContext, reason: string | undefined): boolean => {
  if (reason === undefined) return true
  if (process.env['CI'] === 'true') throw new Error(`a build machine must be able to run this: ${reason}`)
  t.skip(reason)
  return false
}

export const canRunHere = (t: TestContext, withLxc = CONTAINERS === 'lxc'): boolean =>
  mayGoOn(t, obstacle(withLxc))

/** Whether a test that needs this program may go on; `from` is Debian's package of it. */
export const hasTool = (t: TestContext, tool: string, from: string): boolean =>
  mayGoOn(t, isInstalled(tool) ? undefined : `needs ${tool} (Debian: apt-get install ${from})`)
