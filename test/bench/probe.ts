/** Single connections to a target, to see whether it works. Where connections are measured, the load makes them. */
import { once } from 'node:events'
import { request } from 'node:http'
import { connect, type Socket } from 'node:net'

/** To the provider of the load: send back what follows, which is one byte (load.c). */
const ECHO_A_BYTE = Buffer.from('E\0\0\0\0\0\0\0x')

/** Whether somebody listens there. */
export const isConnectable = (path: string): Promise<boolean> =>
  new Promise(resolve => {
    const socket = connect(path)
    const answer = (connectable: boolean) => () => {
      socket.destroy()
      resolve(connectable)
    }
    socket.once('connect', answer(true))
    socket.once('error', answer(false))
  })

/** A connection that leads to the provider: a byte came back. The caller destroys it. Rejects if it is refused or cut. */
export const opened = async (path: string): Promise<Socket> => {
  const socket = connect(path)
  socket.write(ECHO_A_BYTE)
  const cut = once(socket, 'end').then(() => Promise.reject(new Error(`${path}: the connection was cut`)))
  await Promise.race([once(socket, 'data'), cut])
  // From now on its end is nobody's surprise.
  cut.catch(() => undefined)
  return socket
}

export const leadsToTheProvider = (path: string): Promise<boolean> =>
  opened(path).then(
    socket => {
      socket.destroy()
      return true
    },
    () => false,
  )

/** Whether a small request of the HTTP load is answered there as it should be. */
export const answersHttp = (path: string): Promise<boolean> =>
  new Promise(resolve => {
    const asked = request({ socketPath: path, path: '/small', agent: false }, response => {
      response.resume()
      resolve(response.statusCode === 200)
    })
    asked.once('error', () => resolve(false))
    asked.end()
  })
