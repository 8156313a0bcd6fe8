import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.HashMap;
import java.util.Map;
import javax.servlet.http.HttpServletRequest;
import javax.servlet.http.HttpServletResponse;
import org.eclipse.jetty.server.Request;
import org.eclipse.jetty.server.Server;
import org.eclipse.jetty.server.ServerConnector;
import org.eclipse.jetty.server.handler.AbstractHandler;

/**
 * Jetty that is told at the restore what it is for. Dumped before it has done anything outside, it learns its port, too
 * (without -XX:-UsePerfData the first effect of a JVM is a file below /tmp):
 *
 *     export LD_PRELOAD=libsnapctl.so.0
 *     snapctl dump --until=effect=-identity,-clock,-random java -XX:-UsePerfData ... JettyServer
 *     snapctl restore --setenv PORT=8080 --setenv GREETING=hello image/
 *
 * or when it says that it is ready, or when it has served its own warm-up:
 *
 *     snapctl dump --until=ready java ... JettyServer 8080
 *     snapctl dump --until=listen=8080 --warmup 'curl -s localhost:8080' java ... JettyServer 8080
 *     snapctl restore --setenv GREETING=hello image/
 */
public class JettyServer {
    static final long AREA = 0x2eca00000000L;
    static final long MAGIC = 0x3161657261637073L;

    /** What --setenv said at the restore; empty before. Layout: lib/protocol.h. */
    static Map<String, String> restoredEnv() {
        Map<String, String> env = new HashMap<>();
        byte[] bytes = new byte[65536];
        try (RandomAccessFile mem = new RandomAccessFile("/proc/self/mem", "r")) {
            mem.seek(AREA);
            mem.readFully(bytes);
        } catch (IOException e) {
            return env;
        }
        ByteBuffer area = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
        if (area.getLong(0) != MAGIC || area.getInt(12) != 1) {
            return env;
        }
        int args = area.getInt(32), all = args + area.getInt(36);
        String[] texts = new String(bytes, 40, bytes.length - 40).split("\0", all + 1);
        for (int i = args; i < all; i++) {
            int at = texts[i].indexOf('=');
            env.put(texts[i].substring(0, at), texts[i].substring(at + 1));
        }
        return env;
    }

    /** As services of systemd do; Java itself has no datagram sockets of that family. */
    static void sayReady() throws Exception {
        if (System.getenv("NOTIFY_SOCKET") != null) {
            new ProcessBuilder("systemd-notify", "--ready").inheritIO().start().waitFor();
        }
    }

    public static void main(String[] args) throws Exception {
        Server server = new Server();
        server.setHandler(new AbstractHandler() {
            @Override
            public void handle(String target, Request base, HttpServletRequest request, HttpServletResponse response)
                    throws IOException {
                base.setHandled(true);
                response.getWriter().println(restoredEnv().getOrDefault("GREETING", "nobody told me"));
            }
        });
        server.start(); // all but a port
        System.out.println("loaded"); // the first effect: what comes behind it is done by each instance for itself
        ServerConnector connector = new ServerConnector(server);
        connector.setPort(Integer.parseInt(args.length > 0 ? args[0] : restoredEnv().getOrDefault("PORT", "8080")));
        server.addConnector(connector);
        connector.start();
        sayReady();
        server.join();
    }
}
