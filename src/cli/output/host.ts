import { z } from 'zod'

const list = <Item extends z.ZodType>(item: Item) => z.array(item).readonly()
const words = list(z.string())

const acceptance = z.union([
  z.object({ kind: z.literal('accepted') }),
  z.object({ kind: z.literal('refused'), reason: z.string() }),
  z.object({ kind: z.literal('unknown').describe('no libvirt was reached') }),
])

const familyVerdicts = z.object({ ipv4: z.string(), ipv6: z.string() })

const mode = z.object({
  name: z.string(),
  summary: z.string(),
  managementOnly: z.boolean(),
  needs: words.describe('from the host'),
  carries: z.record(z.string(), familyVerdicts).describe('by case, from cold neighbour caches'),
  warnings: words,
  cure: z.string().optional(),
  file: z.string(),
  hotSwitch: z.string(),
  libvirtSays: acceptance,
})

const finding = z.object({
  area: z.string(),
  subject: z.string(),
  level: z.enum(['pass', 'warn', 'fail', 'skip']),
  message: z.string(),
  hint: z.string().optional(),
  fix: z.object({ words: z.string(), commands: list(words) }).optional(),
})

const storedImage = z.object({
  name: z.string(),
  file: z.string().describe('the disk; VMs write to overlays on it'),
  source: z.object({
    kind: z.enum(['disk', 'installer']),
    file: z.string(),
    bytes: z.number(),
    sha256: z.string(),
    signedBy: z.string().optional().describe('the key of a signature that was checked'),
  }),
  cloudInit: z.literal(true).optional().describe('it was built with cloud-init'),
  release: z.string().optional().describe('as the guest names itself, if vmr has booted it'),
  bytes: z.number(),
  virtualBytes: z.number().describe('size of the disk as a guest sees it'),
  sha256: z.string().describe('of the disk'),
  importedAt: z.string(),
})

/** What the commands about the host, the lab, images and interface modes print with --json, by the command's words. */
export const hostOutputs = {
  'nic list': z.object({
    libvirt: z.string().nullable().describe('version of the libvirt that was asked'),
    modes: list(mode),
  }),
  'nic explain': mode.extend({
    explain: z.string().optional(),
    security: z.string().optional(),
    hostNeeds: z.looseObject({ kind: z.string() }),
    libvirt: z.string().nullable(),
    xml: z.string(),
  }),
  'image import': z.union([
    storedImage,
    z
      .object({ name: z.string(), kind: z.enum(['disk', 'installer']), file: z.string(), bytes: z.number() })
      .describe('with --dry-run'),
  ]),
  'image list': list(
    z.union([
      z.object({ name: z.literal('lab'), kind: z.literal('built'), digest: z.string() }),
      storedImage.extend({ kind: z.literal('stored') }),
    ]),
  ),
  'image show': storedImage,
  'image verify': list(z.object({ name: z.string(), intact: z.boolean(), problem: z.string().optional() })),
  'image delete': z.union([
    z.object({ name: z.string(), removed: z.string() }),
    z.object({ name: z.string(), wouldRemove: z.string() }).describe('with --dry-run'),
  ]),
  'image build': z.object({
    kind: z.literal('lab-router'),
    kernel: z.string(),
    initramfs: z.string(),
    commandLine: z.string(),
    digest: z.string().describe('SHA-256 of all inputs: the same digest means the same bytes'),
    packages: list(z.object({ name: z.string(), version: z.string() })),
  }),
  'lab up': z.object({ made: words }),
  'lab down': z.object({ removed: words }),
  'lab status': z.object({
    state: z.enum(['up', 'incomplete', 'down']),
    parts: list(z.object({ name: z.string(), there: z.boolean() })),
  }),
  doctor: z.object({
    findings: list(finding),
    fixed: words.optional().describe('with --fix'),
    wouldFix: words.optional().describe('with --fix --dry-run'),
  }),
  cleanup: z.union([
    z.object({ removed: list(z.object({ what: z.string(), outcome: z.string() })) }),
    z.object({ wouldRemove: list(z.object({ of: z.string(), what: z.string() })) }).describe('with --dry-run'),
  ]),
}
