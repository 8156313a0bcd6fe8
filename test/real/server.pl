# server.pl PORT: HTTP::Daemon, counting its requests.
use strict;
use warnings;
use HTTP::Daemon;
use HTTP::Response;

my $daemon = HTTP::Daemon->new(LocalAddr => '127.0.0.1', LocalPort => $ARGV[0], ReuseAddr => 1) or die "bind: $!";
my $requests = 0;
while (1) {
    my $client = $daemon->accept or next;
    while ($client->get_request) {
        $requests++;
        $client->force_last_request;
        $client->send_response(HTTP::Response->new(200, 'OK', undef, "$requests\n"));
    }
    $client->close;
}
