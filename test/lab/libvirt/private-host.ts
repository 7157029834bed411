import { join } from 'node:path'
import { execa } from 'execa'

const privateHost = join(import.meta.dirname, '../../../scripts/test/private-host.sh')
const library = JSON.stringify(new URL('../../../src/libvirt/index.ts', import.meta.url).href)

/** libvirtd lets root in without asking. What is loaded may lie in root's own folder, so this comes after it. */
const becomeNobody = 'process.setgroups([]); process.setgid(65534); process.setuid(65534)'

/**
 * Prepares a private host by a script of bash, connects to its libvirt at qemu:///system, and returns the domains that it
 * has or why the connection was refused.
 */
export async function connectOnPrivateHost(options: {
  readonly prepare: string
  readonly user: 'root' | 'nobody'
}): Promise<string> {
  const client = `
    import { connect } from ${library}
    ${options.user === 'nobody' ? becomeNobody : ''}
    await connect('qemu:///system').then(
      async (connection) => {
        process.stdout.write('domains: ' + (await connection.listAllDomains()).length)
        await connection.close()
      },
      (error) => process.stdout.write(error.reason + ': ' + error.message),
    )`
  const words = [process.execPath, '--import', 'tsx', '--input-type=module', '-e', client]
  const { stdout } = await execa(privateHost, ['bash', '-euc', `${options.prepare}\n"$@"`, 'bash', ...words], {
    env: { VMR_PRIVATE_HOST: '' },
    stdin: 'ignore',
  })
  return stdout
}
