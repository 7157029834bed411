# Every interactive shell is VyOS's operational mode; `configure` starts one that is configuration mode.
if [[ $- != *i* ]]; then
  source /opt/vyatta/share/vyatta-op/non-interactive
elif [[ -z $_vyos_configuring ]]; then
  source /opt/vyatta/share/vyatta-op/shell
fi
