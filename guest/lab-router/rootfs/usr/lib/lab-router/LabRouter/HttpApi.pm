# VyOS's HTTP API as far as the configuration goes, on a socket to which a TLS proxy brings the requests. One at a time,
# in one session of the configuration service, as VyOS does (vyos-1x, src/services/vyos-http-api-server). A request is a
# form with `data` and `key`; what VyOS has besides is refused.
package LabRouter::HttpApi;
use strict;
use IO::Socket::UNIX;
use LabRouter::BootFile;
use LabRouter::Json;
use LabRouter::Kernel;
use LabRouter::Schema;
use LabRouter::Tree;

my $SOCKET = '/run/api.sock';
my $PID    = '/run/http-api.pid';
my $KEYS   = '/run/lab-router/api-keys';
my $RUN    = '/run/vyos-config';

# What nginx takes, which VyOS has in this place.
my $MAX_BODY   = 1 << 20;
my $MAX_HEADER = 16_384;
# For a request to come in: nobody waits longer for somebody else's.
my $READ_SECONDS = 10;

my $SELF = 'Requested HTTP API server configuration change; commit will be called in the background';

my ($requests, $replies);

# Returns once the socket is there; the server lives on in a process of its own.
sub main {
    $SIG{PIPE} = 'IGNORE';
    unlink $SOCKET;
    my $listener = IO::Socket::UNIX->new(Local => $SOCKET, Listen => 20) or die "cannot listen at $SOCKET: $!\n";
    chown 0, (getgrnam 'www-data')[2], $SOCKET;
    chmod 0660, $SOCKET;
    my $pid = fork;
    die "cannot fork: $!\n" unless defined $pid;
    if ($pid) {
        LabRouter::Kernel::write_file($PID, "$pid\n");
        return;
    }
    open STDIN,  '<', '/dev/null';
    open STDOUT, '>', '/dev/null';
    open STDERR, '>', '/dev/null';
    my $fifo = "$RUN/reply/$$";
    LabRouter::Kernel::run('/bin/busybox', 'mkfifo', '-m', '600', $fifo);
    $SIG{TERM} = sub { unlink $fifo; exit };
    open $replies,  '+<', $fifo           or die "cannot open $fifo: $!\n";
    open $requests, '>',  "$RUN/requests" or die "cannot open $RUN/requests: $!\n";
    while (1) {
        my $client = $listener->accept or next;
        my $later = eval { serve($client) };
        close $client;
        $later->() if $later;
    }
}

# Answers one request; returns what is left to be done after the answer, if anything.
sub serve {
    my ($client) = @_;
    my ($path, $body, $problem) = eval {
        local $SIG{ALRM} = sub { die "timeout\n" };
        alarm $READ_SECONDS;
        my @request = read_request($client);
        alarm 0;
        @request;
    };
    alarm 0;
    return unless defined $path;
    my ($status, $content, $later) = $problem ? ($problem, '') : answer($path, $body);
    my $type = ref $content ? 'text/html; charset=utf-8' : 'text/html';
    my $text = ref $content ? LabRouter::Json::encode($content) : "<html><body>$status</body></html>\n";
    my $reply = "HTTP/1.1 $status Status\r\nContent-Type: $type\r\nContent-Length: " . length($text) . "\r\nConnection: close\r\n\r\n$text";
    my $written = 0;
    while ($written < length $reply) { $written += syswrite($client, $reply, 65_536, $written) // last }
    return $later;
}

# Returns (path, body, HTTP status of a problem or nothing); nothing at all for who went away.
sub read_request {
    my ($client) = @_;
    my $bytes = '';
    until ($bytes =~ /\r\n\r\n/) {
        return ('', '', 400) if length $bytes > $MAX_HEADER;
        sysread $client, $bytes, 4096, length $bytes or return;
    }
    my ($head, $body) = split /\r\n\r\n/, $bytes, 2;
    my ($method, $path) = $head =~ m{\A([A-Z]+) (/\S*) HTTP/1\.[01]\r?\n} or return ('', '', 400);
    my ($length) = $head =~ /\r\nContent-Length:\s*([0-9]{1,12})/i;
    return ($path, '', 405) if $method ne 'POST';
    return ($path, '', 411) unless defined $length;
    return ($path, '', 413) if $length > $MAX_BODY;
    while (length $body < $length) { sysread $client, $body, 65_536, length $body or return }
    return ($path, $body);
}

my %ENDPOINTS = (
    '/configure'   => \&configure,
    '/retrieve'    => \&retrieve,
    '/show'        => \&show,
    '/config-file' => \&config_file,
);

# Returns (HTTP status, content, what is left to do).
sub answer {
    my ($path, $body) = @_;
    # As nginx does where there is HTTPS without an API.
    my $keys = LabRouter::Kernel::read_text($KEYS) // return (503, '');
    my $endpoint = $ENDPOINTS{$path} or return (404, { detail => 'Not Found' });
    my %form = map { my ($name, $value) = map { _unescaped($_) } split /=/, $_, 2; ($name // '', $value // '') } split /&/, $body;
    return failure(422, 'Non-empty data field is required') unless length($form{data} // '');
    my $data = eval { LabRouter::Json::decode($form{data}) };
    return failure(400, "Failed to parse JSON: $@") if $@;
    return failure(401, 'Valid API key is required')
        unless length($form{key} // '') && grep { $_ eq $form{key} } split /\n/, $keys;
    my @commands = ref $data eq 'ARRAY' ? @$data : ($data);
    for my $command (@commands) {
        my $complaint = ref $command ne 'HASH' ? 'any command must be JSON of dict'
            : !defined $command->{op} || ref $command->{op} ? "missing 'op' field"
            : $path eq '/config-file'                      ? undef
            : ref $command->{path} ne 'ARRAY'              ? "'path' field must be a list"
            : (grep { !defined || ref } @{ $command->{path} }) ? "'path' field must be a list of strings"
            : $path eq '/configure' && !@{ $command->{path} } ? "'path' list must be non-empty"
            :                                                undef;
        return failure(400, "Malformed command: $complaint") if defined $complaint;
    }
    return $endpoint->(@commands);
}

sub _unescaped {
    my ($text) = @_;
    $text =~ tr/+/ /;
    $text =~ s/%([0-9A-Fa-f]{2})/chr hex $1/ge;
    return $text;
}

sub success { return (200, { success => \1, data => $_[0], error => undef }) }
sub failure { return ($_[0], { success => \0, data => undef, error => $_[1] }) }

# The whole list is one commit; one refused command and nothing is committed.
sub configure {
    my (@commands) = @_;
    my $own;
    for my $command (@commands) {
        my ($op, @words) = ($command->{op}, @{ $command->{path} });
        push @words, $command->{value} if length($command->{value} // '');
        my ($status, $text) = $op eq 'set' || $op eq 'delete' ? ask($op, @words) : (1, "'$op' is not a valid operation");
        if ($status) {
            ask('discard');
            return failure(400, $text);
        }
        $own = 1 if "@words[0, 1]" eq 'service https';
    }
    # The commit ends this very server: the answer has to be out before.
    return (success($SELF), \&commit) if $own;
    my ($status, $text) = commit();
    return $status && $text !~ /\ANo configuration changes/ ? failure(400, $text) : success(undef);
}

sub commit {
    my ($status, $text) = ask('commit');
    ask('discard') if $status;
    return ($status, $text);
}

sub retrieve {
    my ($command) = @_;
    my @path = @{ $command->{path} };
    my ($tree) = LabRouter::BootFile::parse(LabRouter::Kernel::read_text("$RUN/active.boot") // '');
    return success(LabRouter::Tree::exists_at($tree, @path) ? \1 : \0) if $command->{op} eq 'exists';
    return failure(400, "'$command->{op}' is not a valid operation") if $command->{op} ne 'showConfig';
    my $schema = @path ? LabRouter::Schema::resolve(@path)->{schema} : LabRouter::Schema::root();
    return failure(400, "Configuration under specified path is empty\n")
        unless $schema && ($schema->{kind} eq 'node' || $schema->{kind} eq 'tag') && LabRouter::Tree::exists_at($tree, @path);
    return success(tree_value(LabRouter::Tree::get($tree, @path), $schema));
}

# A node as VyOS's ConfigTree shows it in JSON: a leaf with one value is a string, with several a list, without an empty
# object.
sub tree_value {
    my ($tree, $schema) = @_;
    my @names = @{ $tree->{names} };
    if ($schema->{kind} eq 'leaf') { return @names == 1 ? $names[0] : \@names }
    my $of_tag = LabRouter::Schema::value_schema($schema);
    return {
        map { $_ => tree_value($tree->{children}{$_}, $schema->{kind} eq 'tag' ? $of_tag : $schema->{children}{$_}) } @names
    };
}

sub show {
    my ($command) = @_;
    return failure(400, "'$command->{op}' is not a valid operation") if $command->{op} ne 'show';
    my ($status, $text) = ask('op-show', @{ $command->{path} });
    return $status ? failure(400, $text) : success($text);
}

sub config_file {
    my ($command) = @_;
    return failure(400, "'$command->{op}' is not a valid operation") if $command->{op} ne 'save' || defined $command->{file};
    my ($status, $text) = ask('save');
    return $status ? failure(400, $text) : success($text);
}

# One request to the configuration service; returns its exit status and text.
sub ask {
    my (@words) = @_;
    my ($status, $text) = _ask(@words);
    return ($status, $text) if $text ne "No configuration session\n";
    _ask('begin');
    return _ask(@words);
}

sub _ask {
    my (@words) = @_;
    my $bytes = join '', map { "$_\0" } @words + 2, $$, $$, @words;
    # A FIFO takes no more than this in one undivided piece (PIPE_BUF).
    return (1, "The command is too long\n") if length $bytes > 4096;
    return (1, "A word holds a NUL\n") if grep { /\0/ } @words;
    syswrite $requests, $bytes;
    my $reply = '';
    while (1) {
        my @fields = split /\0/, $reply, -1;
        return @fields[0, 2] if @fields > 3;
        sysread $replies, $reply, 65_536, length $reply or return (1, "The configuration service ended\n");
    }
}

1;
