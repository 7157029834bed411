service {
    ssh {
    }
}
system {
    console {
        device ttyS0 {
            speed "115200"
        }
    }
    host-name "vyos"
    login {
        user vyos {
            authentication {
                encrypted-password "$6$labrouter$0d/2ms/zamnNoVhuLL5Z7gk78Srw6v9UytBKY8zOxM907luCKivwSoAoyQ6HtB8Qq9T5RcU7V2I1SXftSKahX0"
                plaintext-password ""
            }
        }
    }
}


// Warning: Do not remove the following line.
// vyos-config-version: "bridge@1:interfaces@32:quagga@11:ssh@2:system@27"
// Release version: 1.4.1-lab-router
