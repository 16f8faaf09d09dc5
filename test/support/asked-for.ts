/** What a plugin asks of the toolbox for a link: the request itself, from a toolbox that plants nothing. */

import type { Link } from '../../src/model/link.ts'
import type { Plugin } from '../../src/plugin/contract.ts'
import type { SocketRequest, Toolbox } from '../../src/toolbox/contract.ts'
import { must } from './descriptors.ts'
import { fakeWorld } from './fakes.ts'

/** Its socket, where it takes the link. */
export const socketAskedFor = async (plugin: Plugin, link: Link): Promise<SocketRequest> => {
  const box = fakeWorld().host.toolboxFor(link)
  const requests: SocketRequest[] = []
  const listening: Toolbox = {
    ...box,
    injectSocket: (request, kept) => {
      requests.push(request)
      return box.injectSocket(request, kept)
    },
  }
  must(await plugin.onLinkAdded(link, listening)())
  const [request] = requests
  if (request === undefined) throw new Error('nothing was asked for')
  return request
}
