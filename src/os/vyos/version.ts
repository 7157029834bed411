import { VmrError } from '../../errors/vmr-error.ts'

/** The syntax generations that the renderer knows. */
export type VyosTrain = '1.2' | '1.3' | '1.4' | '1.5'

export interface VyosVersion {
  readonly train: VyosTrain
  /** As the guest names itself: "VyOS 1.4.1". */
  readonly name: string
}

const trainsByName: Readonly<Record<string, VyosTrain>> = {
  crux: '1.2',
  equuleus: '1.3',
  sagitta: '1.4',
  circinus: '1.5',
  current: '1.5',
}

/** The train of a release as a guest names it: "VyOS 1.4.1". */
export function trainOf(name: string): VyosTrain | undefined {
  return /^VyOS (1\.[2-5])(?!\d)/.exec(name)?.[1] as VyosTrain | undefined
}

/** Reads what `show version` prints. @throws VmrError GUEST_NOT_READY for a guest that is no VyOS, or one of a train that vmr does not know. */
export function parseVyosVersion(output: string): VyosVersion {
  const name = /^Version:[ \t]+(VyOS [^\r\n]{1,100})$/m.exec(output)?.[1]?.trimEnd()
  const release = /^Release [Tt]rain:[ \t]+([a-z]{1,40})\s*$/m.exec(output)?.[1]
  if (name === undefined) {
    throw new VmrError(
      'GUEST_NOT_READY',
      `the guest does not say which VyOS it is: ${output.trim().slice(0, 200) || 'no answer to "show version"'}`,
      {
        hint: 'Is this guest a VyOS? The domain definition says so.',
      },
    )
  }
  const train = trainOf(name) ?? trainsByName[release ?? '']
  if (train === undefined) {
    throw new VmrError('GUEST_NOT_READY', `${name} is of a release that vmr does not know`, {
      hint: 'VyOS 1.2, 1.3, 1.4 and 1.5 are supported.',
    })
  }
  return { train, name }
}
