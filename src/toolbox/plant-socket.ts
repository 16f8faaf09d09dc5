/**
 * Planting a socket in a consumer, by the kind of its target's address. Whatever a consumer that dies meanwhile made of
 * the attempt: it is gone, and nothing of ours stays in a root that outlives it.
 */
import { E } from '../fp.ts'
import { isAbstract } from '../model/address.ts'
import type { InjectError } from '../model/errors.ts'
import type { Directories } from './directories.ts'
import { discard, type Plant, type PlantRequest } from './plant.ts'
import { plantAbstract } from './plant-abstract.ts'
import { plantPath } from './plant-path.ts'

/** The listener in the result is the caller's; on a Left nothing is left behind. */
export const plantSocket = (
  request: PlantRequest,
  directories: Directories,
): E.Either<InjectError, Plant> => {
  const { container, target } = request
  const plant = isAbstract(target) ? plantAbstract(request) : plantPath(request, directories)
  if (!container.ended) return plant
  if (E.isRight(plant)) discard(plant.right)
  return E.left({ _tag: 'PeerGone', peer: 'consumer', pid: container.pid })
}
