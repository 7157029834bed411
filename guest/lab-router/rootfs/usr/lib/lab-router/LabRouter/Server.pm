# The configuration service: holds the active configuration and every open session, and answers requests that shells
# write to a FIFO. A request is fields ended by NUL: how many follow, the reply FIFO's name, the session, the command
# and its words. A reply is three such fields: exit status, edit level, text.
package LabRouter::Server;
use strict;
use LabRouter::BootFile;
use LabRouter::Commands;
use LabRouter::Commit;
use LabRouter::Kernel;
use LabRouter::Operational;
use LabRouter::Tree;
use LabRouter::Units;

my $RUN    = '/run/vyos-config';
my $CONFIG = '/config/config.boot';

# Holds the latency of each command from now on, in milliseconds.
my $LATENCY = '/run/lab-router/latency_ms';

my ($active, $saved_text, %sessions, @waiting, $committing, $unsaved);
my $boot_damage = '';

sub main {
    $SIG{PIPE} = 'IGNORE';
    my $arguments = LabRouter::Kernel::read_text('/proc/cmdline') // '';
    my $booting   = !-e "$RUN/active.boot";
    if ($booting) {
        LabRouter::Kernel::write_file($LATENCY, "$1\n") if $arguments =~ /\bvmr\.latency_ms=([0-9]{1,6})\b/;
        print STDERR "[\e[0;32m  OK  \e[0m] Started \e[0;1;39mvyos-router.service\e[0m - VyOS Router.\n";
        select undef, undef, undef, $1 / 1000 if $arguments =~ /\bvmr\.load_ms=([0-9]{1,6})\b/;
        $boot_damage = "interfaces {\n    etherned eth0 {\n    }\n}\n" if $arguments =~ /\bvmr\.config_error\b/;
    }
    load_active($booting);
    # Open for writing too, so that it does not end when the last shell closes it.
    open my $requests, '+<', "$RUN/requests" or die "cannot open $RUN/requests: $!\n";
    LabRouter::Kernel::write_file("$RUN/pid", "$$\n");
    release_console();
    my $buffer = '';
    while (1) {
        my $timeout = next_due();
        my $ready   = '';
        vec($ready, fileno $requests, 1) = 1;
        if (select $ready, undef, undef, $timeout) {
            sysread $requests, $buffer, 65536, length $buffer or next;
            while (my $request = take_request(\$buffer)) { accept_request($request) }
        }
        run_due();
    }
}

# Lets the console that waits for the boot configuration go on.
sub release_console {
    open my $fifo, '+<', "$RUN/loaded" or return;
    syswrite $fifo, "\n";
}

sub now {
    my ($seconds) = split ' ', LabRouter::Kernel::read_text('/proc/uptime') // '0';
    return $seconds;
}

sub latency {
    my ($milliseconds) = (LabRouter::Kernel::read_text($LATENCY) // '') =~ /\A([0-9]{1,6})\s*\z/;
    return ($milliseconds // 0) / 1000;
}

sub next_due {
    return unless @waiting;
    my $left = $waiting[0]{due} - now();
    return $left > 0 ? $left : 0;
}

# Takes one whole request out of the buffer; what cannot be one empties it.
sub take_request {
    my ($buffer) = @_;
    my ($count) = $$buffer =~ /\A([0-9]{1,4})\0/ or do {
        $$buffer = '' if length $$buffer > 8 || $$buffer =~ /\A[^0-9]/;
        return;
    };
    my @fields = split /\0/, $$buffer, $count + 2;
    return if @fields < $count + 2;
    $$buffer = pop @fields;
    shift @fields;
    return \@fields;
}

sub accept_request {
    my ($request) = @_;
    my ($reply, $id, $command, @words) = @$request;
    return unless defined $command && $reply =~ /\A[0-9]{1,10}\z/ && $id =~ /\A[0-9]{1,10}\z/;
    my $job = { reply => $reply, id => $id, command => $command, words => \@words, due => now() + latency() };
    if ($command eq 'commit' || $command eq 'load' || $command eq 'merge') {
        if ($committing) {
            return answer($job, 1, "Configuration system temporarily locked due to another commit in progress\n\n");
        }
        $committing = $job if $command eq 'commit';
    }
    push @waiting, $job;
}

sub run_due {
    while (@waiting && $waiting[0]{due} <= now()) {
        my $job = shift @waiting;
        my ($status, $text) = eval { perform($job->{id}, $job->{command}, @{ $job->{words} }) };
        ($status, $text) = (1, "Internal error: $@\n") if $@;
        $committing = undef if $committing && $committing == $job;
        answer($job, $status, $text);
    }
}

sub answer {
    my ($job, $status, $text) = @_;
    my $session = $sessions{ $job->{id} };
    my $level   = $session ? join ' ', @{ $session->{level} } : '';
    my $path = "$RUN/reply/$job->{reply}";
    lstat $path;
    return unless -p _;
    # Opened both ways: that never waits for a reader, who may be gone.
    open my $fifo, '+<', $path or return;
    my $bytes = join "\0", $status, $level, $text, '';
    my $written = 0;
    while ($written < length $bytes) {
        my $room = '';
        vec($room, fileno $fifo, 1) = 1;
        # A reader that has stopped must not stop everybody else.
        return unless select undef, $room, undef, 10;
        # A FIFO that select(2) calls writable takes this much (PIPE_BUF) without waiting.
        $written += syswrite($fifo, $bytes, 4096, $written) // return;
    }
}

my %COMMANDS = (
    begin => sub {
        my ($session, $id) = @_;
        delete $sessions{$_} for grep { !-e "/proc/$_" } keys %sessions;
        $sessions{$id} = LabRouter::Commands::session($id, $active);
        return (0, '');
    },
    end => sub { my ($session, $id) = @_; delete $sessions{$id}; return (0, '') },
    'ask-exit' => sub {
        my ($session) = @_;
        return (2, '') if @{ $session->{level} };
        return (1, "Cannot exit: configuration modified.\nUse 'exit discard' to discard the changes and exit.\n")
            if LabRouter::Commands::changed($session);
        return (0, $unsaved ? "Warning: configuration changes have not been saved.\n" : '');
    },
    'exit-discard' => sub { return (0, $unsaved ? "Warning: configuration changes have not been saved.\n" : '') },
    set     => sub { my ($session, $id, @words) = @_; return LabRouter::Commands::set($session, @words) },
    delete  => sub { my ($session, $id, @words) = @_; return LabRouter::Commands::delete($session, @words) },
    edit    => sub { my ($session, $id, @words) = @_; return LabRouter::Commands::edit($session, @words) },
    up      => sub { return LabRouter::Commands::up($_[0]) },
    top     => sub { return LabRouter::Commands::top($_[0]) },
    show    => sub { my ($session, $id, @words) = @_; return LabRouter::Commands::show($session, @words) },
    compare => sub {
        my ($session, $id, @words) = @_;
        return LabRouter::Commands::compare($session, (LabRouter::BootFile::parse($saved_text))[0], @words);
    },
    discard => sub { return LabRouter::Commands::discard($_[0]) },
    commit  => \&commit,
    save    => \&save,
    load    => sub { return load_file(0, @_) },
    merge   => sub { return load_file(1, @_) },
);

sub perform {
    my ($id, $command, @words) = @_;
    return LabRouter::Operational::show($active, @words) if $command eq 'op-show';
    my $handler = $COMMANDS{$command} or return (1, LabRouter::Commands::framed("Invalid command: [$command]"));
    my $session = $sessions{$id};
    return (1, "No configuration session\n") unless $session || $command eq 'begin';
    LabRouter::Commands::rebase($session, $active) if $session && $session->{base} != $active;
    return $handler->($session, $id, @words);
}

sub commit {
    my ($session) = @_;
    return (1, "No configuration changes to commit\n") unless LabRouter::Commands::changed($session);
    my ($now, $status, $text) = LabRouter::Commit::commit($active, $session->{candidate});
    $active = $now;
    $session->{base} = $active;
    if (!$status) {
        $session->{candidate} = LabRouter::Tree::clone($active);
        # A commit that failed in part leaves no such mark on VyOS, though part of it is active.
        $unsaved = 1;
    }
    LabRouter::Kernel::write_file("$RUN/active.boot", LabRouter::BootFile::render($active), 0640);
    return ($status, $text);
}

sub save {
    my ($session, $id, @words) = @_;
    return (1, LabRouter::Commands::framed("Invalid command: [save @words]")) if @words > 1;
    my $path = @words ? config_path($words[0]) : $CONFIG;
    return (1, "Cannot save to $words[0]: only files below /config can be written\n") unless defined $path;
    my $text = LabRouter::BootFile::render($active);
    my $problem = write_in_place($path, $text);
    return (1, $problem) if defined $problem;
    ($saved_text, $unsaved) = ($text, 0) if $path eq $CONFIG;
    $session->{level} = [];
    my $pending = LabRouter::Commands::changed($session);
    return (0, $pending ? "Warning: you have uncommitted changes that will not be saved.\n" : '');
}

# VyOS 1.4 empties the file and then writes it (vyos-1x, vyos-save-config.py): a full disk costs what was saved before.
# Returns nothing, or what Python says there.
sub write_in_place {
    my ($path, $text) = @_;
    if (open my $file, '>', $path) {
        my $written = print {$file} $text;
        if (close $file and $written) {
            chown 0, (getgrnam 'vyattacfg')[2], $path;
            chmod 0660, $path;
            return;
        }
    }
    my ($number, $words) = ($! + 0, "$!");
    return <<"END";
Traceback (most recent call last):
  File "/usr/libexec/vyos/vyos-save-config.py", line 57, in <module>
    with open(write_file, 'w') as f:
OSError: [Errno $number] $words
END
}

# A name without a slash is in /config, as on VyOS.
sub config_path {
    my ($name) = @_;
    return if $name =~ m{(?:\A|/)\.\.(?:/|\z)} || $name eq '';
    return "/config/$name" unless $name =~ m{/};
    return $name =~ m{\A/config/[^/]} ? $name : undef;
}

sub load_file {
    my ($merge, $session, $id, @words) = @_;
    return (1, LabRouter::Commands::framed("Invalid command: [@words]")) if @words > 1;
    my $name = @words ? $words[0] : $CONFIG;
    return (1, "Cannot load: configuration modified.\nCommit or discard the changes before loading a config file.\n")
        if !$merge && LabRouter::Commands::changed($session);
    my $path = $name =~ m{/} ? $name : "/config/$name";
    my $text = operators_file($path);
    return (1, $merge ? "No config file by that name.\n" : "No such file '$name'\n") unless defined $text;
    my ($status, $answer) = LabRouter::Commands::load($session, $text, $merge);
    return ($status, ($merge ? '' : "Loading configuration from '$name'\n") . $answer);
}

# Reads a file that the operator may read too: the service's own rights must not show other people's files.
sub operators_file {
    my ($path) = @_;
    my ($mode, $group, $size) = (stat $path)[2, 5, 7];
    return unless -f _ && $size < 1_048_576;
    my $readable = $mode & 0004 || ($mode & 0040 && $group == (getgrnam 'vyattacfg')[2]) || (stat _)[4] == (getpwnam 'vyos')[2];
    return $readable ? LabRouter::Kernel::read_text($path) : undef;
}

# At boot: the configuration file, applied from nothing. After a crash of this service: what was active.
sub load_active {
    my ($booting) = @_;
    $saved_text = $boot_damage . (LabRouter::Kernel::read_text($CONFIG) // '');
    my ($tree, $problems) = LabRouter::BootFile::parse($booting ? $saved_text : LabRouter::Kernel::read_text("$RUN/active.boot"));
    $active = $tree;
    return unless $booting;
    LabRouter::Units::apply_defaults();
    remember_links($tree);
    my $text;
    ($active, my $status, $text) = LabRouter::Commit::commit(LabRouter::Tree::new(), $tree);
    $saved_text = LabRouter::BootFile::render($active);
    LabRouter::Kernel::write_file($CONFIG, $saved_text, 0660, 0, (getgrnam 'vyattacfg')[2]);
    LabRouter::Kernel::write_file("$RUN/active.boot", $saved_text, 0640);
    LabRouter::Kernel::write_file('/tmp/vyos-config-status', @$problems || $status ? "1\n" : "0\n");
    my $failed = @$problems || $status;
    print STDERR map { "$_\n" } @$problems, $text if $failed;
    print STDERR 'Starting VyOS router: migrate configure', $failed ? " failed!\n" : ".\n";
}

# VyOS notes at boot which NIC it found under which name; a MAC that is set later is taken back to this one.
sub remember_links {
    my ($tree) = @_;
    for my $name (grep { /\Aeth[0-9]+\z/ } LabRouter::Kernel::link_names()) {
        my $mac = LabRouter::Kernel::read_line("/sys/class/net/$name/address") // next;
        LabRouter::Kernel::write_file("$RUN/mac/$name", "$mac\n");
        # Locally administered addresses get no hw-id, except QEMU's own prefix, as on VyOS.
        next if hex(substr $mac, 0, 2) & 2 && $mac !~ /\A52:54:00:/;
        LabRouter::Tree::set_path($tree, 'interfaces', 'ethernet', $name, 'hw-id', $mac);
    }
    LabRouter::Tree::set_path($tree, 'interfaces', 'loopback', 'lo');
}

1;
