/** Asking a control socket as curl would, and reading what it says without believing in its form. */
import { type IncomingHttpHeaders, request } from 'node:http'

export interface ControlAnswer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: string
  /** The body as JSON; `undefined` if it is none. */
  readonly json: unknown
}

export interface Asking {
  readonly method?: string
  readonly body?: string | Buffer
  readonly headers?: Readonly<Record<string, string>>
}

export const askControl = (path: string, url: string, how: Asking = {}): Promise<ControlAnswer> =>
  new Promise((resolve, reject) => {
    const asked = request(
      { socketPath: path, path: url, method: how.method ?? 'GET', headers: how.headers ?? {}, agent: false },
      response => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.once('error', reject)
        response.once('end', () => {
          const body = Buffer.concat(chunks).toString()
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            body,
            json: parsed(body),
          })
        })
      },
    )
    asked.once('error', reject)
    asked.end(how.body)
  })

const parsed = (body: string): unknown => {
  try {
    return JSON.parse(body)
  } catch {
    return undefined
  }
}

/** The value at a path of keys; `undefined` where there is none. */
export const at = (value: unknown, ...keys: readonly (string | number)[]): unknown =>
  keys.reduce<unknown>(
    (inner, key) =>
      typeof inner === 'object' && inner !== null
        ? Object.entries(inner).find(([name]) => name === String(key))?.[1]
        : undefined,
    value,
  )

export const linkUrl = (key: string): string => `/links/${encodeURIComponent(key)}`
