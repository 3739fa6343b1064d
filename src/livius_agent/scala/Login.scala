package livius

import com.sun.security.auth.module.UnixSystem
import org.apache.hadoop.security.UserGroupInformation
import org.apache.spark.deploy.SparkSubmit

/** Hadoop's login asks the operating system for the user's name, and fails where it knows none ("invalid null input: name"): in
  * containers that run under any number, and in drivers that run under a number of their principal's.
  */
object Login {

  /** Settles who this JVM's user is, before Hadoop looks. Users with a name are left to Hadoop. */
  def settle(): Unit = {
    val user = new UnixSystem
    if (user.getUsername == null) {
      val name = s"uid-${user.getUid}"
      UserGroupInformation.setLoginUser(UserGroupInformation.createRemoteUser(name))
      // Java says "?" for both.
      System.setProperty("user.name", name)
      sys.env.get("HOME").foreach(System.setProperty("user.home", _))
    }
  }
}

/** SparkSubmit, for any user. */
object Submit {
  def main(arguments: Array[String]): Unit = {
    Login.settle()
    SparkSubmit.main(arguments)
  }
}
