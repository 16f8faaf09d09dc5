/** The page's files, beside the bundle: read when somebody opens the page, and kept then. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { PATHS } from './shared/protocol.ts'

export interface PageFile {
  readonly type: string
  readonly body: Buffer
}

/** Everything it needs stands beside it, by relative names: they carry on the token that is in its own URL. */
const HTML = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>pv-xconnect inspector</title>
<link rel="icon" type="image/svg+xml" href="${PATHS.icon}">
<link rel="stylesheet" href="${PATHS.style}">
<script type="module" src="${PATHS.script}"></script>
</head>
<body><noscript>The inspector needs JavaScript.</noscript></body>
</html>
`

const ICON = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24" fill="none" stroke="#5b82ff" stroke-width="2.2"><path d="M4 6h5c4 0 2 12 6 12h5M4 18h5c4 0 2-12 6-12h5"/></svg>
`

const TYPES: Readonly<Record<string, string>> = {
  [PATHS.script]: 'text/javascript; charset=utf-8',
  [PATHS.style]: 'text/css; charset=utf-8',
}

export interface PageFiles {
  /** `undefined`: there is no such file. Rejects where the package is not whole. */
  file(path: string): Promise<PageFile | undefined>
}

export const createPageFiles = (folder: string): PageFiles => {
  const read = new Map<string, PageFile>([
    [PATHS.page, { type: 'text/html; charset=utf-8', body: Buffer.from(HTML) }],
    [PATHS.icon, { type: 'image/svg+xml', body: Buffer.from(ICON) }],
  ])
  return {
    async file(path) {
      const known = read.get(path)
      if (known !== undefined) return known
      const type = TYPES[path]
      if (type === undefined) return undefined
      const file = { type, body: await readFile(join(folder, path)) }
      read.set(path, file)
      return file
    },
  }
}
