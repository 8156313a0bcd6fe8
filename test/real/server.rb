# server.rb PORT: WEBrick, counting its requests.
require 'webrick'

requests = 0
log = WEBrick::Log.new(File::NULL)
server = WEBrick::HTTPServer.new(BindAddress: '127.0.0.1', Port: ARGV[0].to_i, Logger: log, AccessLog: [])
server.mount_proc('/') { |_, response| response.body = "#{requests += 1}\n" }
server.start
