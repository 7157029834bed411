import type { Finding } from '../finding.ts'
import type { HostObservation } from '../observation.ts'

/** An image build with its packages, and a run with its raw data. */
const wantedBytes = 10 ** 9

export function checkState({ directories, leftovers }: HostObservation): Finding[] {
  return [
    ...directories.map(({ what, path, writable, freeBytes }): Finding => {
      const common = { area: 'state', subject: what } as const
      if (!writable)
        return {
          ...common,
          level: 'fail',
          message: `${path} may not be written`,
          hint: 'Run vmr as root, or set VMR_STATE_DIR and VMR_CACHE_DIR.',
        }
      const free = freeBytes === undefined ? '' : `, ${(freeBytes / 10 ** 9).toFixed(1)} GB free`
      if (freeBytes !== undefined && freeBytes < wantedBytes)
        return {
          ...common,
          level: 'warn',
          message: `${path}${free}`,
          hint: 'Free some space: an image and a run need 1 GB.',
        }
      return { ...common, level: 'pass', message: `${path}${free}` }
    }),
    leftovers.length === 0
      ? { area: 'state', subject: 'leftovers', level: 'pass', message: 'no killed run left anything behind' }
      : {
          area: 'state',
          subject: 'leftovers',
          level: 'warn',
          message: `killed runs left behind: ${leftovers.join(', ')}`,
          hint: 'Remove them: vmr cleanup',
        },
  ]
}
