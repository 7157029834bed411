import { z } from 'zod'
import { bootStates } from '../../shell/serial/boot-state.ts'

const name = z.string()
const seconds = z.number().nonnegative()
const list = <Item extends z.ZodType>(item: Item) => z.array(item).readonly()

const nic = z.object({
  name: z.string().describe('by which the guest knows it: eth0'),
  mode: z.string(),
  mac: z.string(),
  uplink: z.string().optional(),
})

const template = z.object({
  file: z.string(),
  commands: list(z.string()).describe('`set` and `delete` lines, secrets masked'),
})

const rates = z.object({
  bitsPerSecond: z.number(),
  packetsPerSecond: z.number(),
  dropsPerSecond: z.number(),
})

const seed = z
  .object({
    commands: list(z.string()).describe('that the seed has for cloud-init, without passwords'),
    sent: list(z.string()).describe('what was not so after the first boot, and was set over the console'),
  })
  .describe('of an image with cloud-init')

const boot = z.object({
  state: z.enum(bootStates).describe('where the guest stands on its way to its login prompt'),
  configuration: z.enum(['loaded', 'failed']).optional().describe('of its boot; absent: nobody can tell'),
  words: list(z.string()).describe('of VyOS, about what of its configuration it could not load'),
})

const changed = z.object({ name, changed: z.boolean().describe('false: it was so already') })

const vmRates = {
  name,
  processor: z.number().describe('1 is one core of the host kept busy'),
  nics: list(z.object({ device: z.string(), received: rates, sent: rates })),
}

/** What `vmr apply` and the commands `vmr vm …` print with --json, by the command's words. */
export const vmOutputs = {
  apply: z.union([
    z.object({
      name,
      changes: list(
        z.object({
          what: z.string(),
          from: z.string().optional().describe('absent: it is added'),
          to: z.string().optional().describe('absent: it is removed'),
          effect: z.enum(['now', 'now, interrupts', 'at the next start']),
        }),
      ),
      applied: z.boolean(),
      restarted: z.boolean(),
      waitsForNextStart: z.boolean(),
    }),
    z.looseObject({ name }).describe('a VM that was made: as of `vm create`'),
  ]),
  'vm create': z.union([
    z.object({
      name,
      uuid: z.string(),
      accelerator: z.string(),
      nics: list(nic),
      readyAfterSeconds: seconds.describe('from the start of the domain to a login on its console'),
      retried: z.boolean().describe('the first boot hung'),
      boot,
      template: template.optional(),
      seed: seed.optional(),
    }),
    z
      .object({ name, xml: z.string(), template: template.optional(), seed: seed.optional() })
      .describe('with --dry-run'),
  ]),
  'vm start': z.union([
    z.object({ name, started: z.literal(true), readyAfterSeconds: seconds, retried: z.boolean(), boot }),
    z.object({ name, started: z.literal(false) }).describe('it runs already'),
  ]),
  'vm stop': z.union([
    z.object({ name, how: z.literal('was not running') }),
    z.object({ name, how: z.literal('shut down').describe('by the guest itself'), seconds }),
    z.object({ name, how: z.literal('ended').describe('by force, when the time was over'), seconds }),
  ]),
  'vm reboot': changed,
  'vm reset': changed,
  'vm pause': changed,
  'vm resume': changed,
  'vm autostart': changed.extend({ autostart: z.boolean() }),
  'vm delete': z.union([
    z.object({ name, removed: list(z.string()) }),
    z.object({ name, running: z.boolean(), wouldRemove: z.string() }).describe('with --dry-run'),
  ]),
  'vm rename': z.object({ name, before: z.string(), renamed: z.boolean() }),
  'vm clone': z.union([
    z.object({ name, of: z.string(), uuid: z.string(), macs: list(z.string()) }),
    z.object({ name, xml: z.string() }).describe('with --dry-run'),
  ]),
  'vm edit': z.object({
    name,
    changed: z.boolean(),
    diff: z.string().describe('empty: nothing changes'),
    atNextStart: z.boolean().describe('it runs, and goes on as before'),
  }),
  'vm snapshot': z.object({
    name,
    taken: z.string().optional(),
    deleted: z.string().optional().describe('with --delete'),
    snapshots: list(
      z.object({ name: z.string(), takenAt: z.iso.datetime(), state: z.string(), current: z.boolean() }),
    ).describe('those that there are now, oldest first'),
  }),
  'vm revert': z.object({ name, snapshot: z.string() }),
  'vm adopt': z.object({ name, adopted: z.boolean().describe('false: it was vmr’s already'), nics: list(nic) }),
  'vm trust': z.object({ name, pinned: list(z.object({ type: z.string(), fingerprint: z.string() })) }),
  'vm switch': z.union([
    z.object({
      name,
      nics: list(
        z.object({
          name: z.string(),
          mac: z.string(),
          from: z.string(),
          to: z.string(),
          how: z.string(),
          seconds: seconds.describe('from the request to the guest until it had its settings again'),
          complaints: list(z.string()).describe('what the guest could not set up again'),
          reachability: list(
            z.object({
              family: z.enum(['ipv4', 'ipv6']),
              direction: z.string(),
              reachable: z.boolean(),
              address: z.string(),
            }),
          ).optional(),
        }),
      ),
    }),
    z
      .object({
        name,
        running: z.boolean(),
        nics: list(
          z.object({
            name: z.string(),
            mac: z.string(),
            from: z.string(),
            to: z.string(),
            how: z.string(),
            uplink: z.string().optional(),
            needs: z.looseObject({ kind: z.string() }).optional(),
          }),
        ),
        diff: z.string().describe('of the definition, unified'),
      })
      .describe('with --dry-run'),
  ]),
  'vm list': list(
    z.object({
      name,
      state: z.string(),
      modes: list(z.string()),
      definition: z.string(),
      testbed: z.string().optional(),
    }),
  ),
  'vm show': z.object({
    name,
    uuid: z.string(),
    state: z.string(),
    definition: z.string(),
    testbed: z.string().optional(),
    image: z.string().optional(),
    os: z.string(),
    accelerator: z.string().optional(),
    vcpus: z.number().optional(),
    memoryMiB: z.number().optional(),
    serialLog: z.string().optional(),
    differences: list(z.string()).describe('what of the VM runs otherwise than it is defined'),
    boot: boot.optional().describe('absent: it does not run, or was not asked'),
    guestUnasked: z.string().optional().describe('why the guest was not asked'),
    nics: list(
      z.object({
        name: z.string(),
        mac: z.string(),
        mode: z.string().optional(),
        uplink: z.string().optional(),
        device: z.string().optional(),
        trust: z.boolean().optional(),
        defined: z.string().optional(),
        live: z.string().optional(),
        kernel: z.string().optional(),
        guest: z.string().optional(),
        differences: list(z.object({ between: z.string(), words: z.string() })),
      }),
    ),
  }),
  'vm xml': z.union([
    z.object({ name, xml: z.string() }),
    z.object({ name, diff: z.string().describe('empty: the running VM is as defined') }).describe('with --diff'),
  ]),
  'vm logs': z.union([
    z.object({ name, file: z.string(), lines: list(z.string()) }),
    z.object({ line: z.string() }).describe('with --follow, one a line'),
  ]),
  'vm events': z
    .looseObject({ at: z.iso.datetime(), name, uuid: z.string(), kind: z.string() })
    .describe('one a line; more fields by kind'),
  'vm wait': z.object({
    name,
    state: z.string().describe('that was waited for'),
    seconds,
    boot: boot.optional().describe('absent: for a VM that is stopped, and where there is no serial log'),
  }),
  'vm stats': z.union([
    z.object(vmRates),
    z.object({ at: z.iso.datetime(), ...vmRates }).describe('with --watch, one a line'),
  ]),
}
