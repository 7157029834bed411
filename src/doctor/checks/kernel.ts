import { type FeatureName, features } from '../features.ts'
import type { Finding } from '../finding.ts'
import type { HostObservation } from '../observation.ts'

export function checkKernel({ features: observed }: HostObservation): Finding[] {
  return (Object.keys(features) as FeatureName[]).map((name): Finding => {
    const { words, without, required } = features[name]
    const common = { area: 'kernel', subject: words } as const
    const present = observed?.[name]
    if (present === undefined) return { ...common, level: 'skip', message: 'could not be tried without root' }
    if (present) return { ...common, level: 'pass', message: 'the kernel has it' }
    return {
      ...common,
      level: required ? 'fail' : 'warn',
      message: `the kernel lacks it: ${without}`,
      hint: 'Load its module, or install a kernel that has it (Debian: linux-image-amd64).',
    }
  })
}
